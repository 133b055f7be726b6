"""bench/wheels.py reads pip's reports and wheels' tags rightly; pip itself is not asked here."""

import importlib.util
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheels() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_wheels", ROOT / "bench" / "wheels.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


def item(name: str, file: str, *needs: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "version": file.split("-")[1], "requires_dist": list(needs)},
        "download_info": {"url": f"file:///wheels/{file}#sha256=00"},
    }


REPORT = {
    "install": [
        item("gpiozero", "gpiozero-2.0.1.post3-py3-none-any.whl", "colorzero", "sphinx; extra == 'doc'"),
        item(
            "Colorzero", "colorzero-2.0-py2.py3-none-any.whl", "importlib-metadata; python_version < '3.12'"
        ),
        item("py_cares", "py_cares-5.2.1-cp311-cp311-manylinux_2_26_aarch64.manylinux_2_28_aarch64.whl"),
        item("stranger", "stranger-1.0-cp311-abi3-linux_aarch64.whl"),
    ]
}


def test_a_report_is_read(wheels: ModuleType) -> None:
    found = wheels.packages(REPORT)
    assert list(found) == ["gpiozero", "colorzero", "py-cares", "stranger"]
    assert [each.pure for each in found.values()] == [True, True, False, False]
    assert found["py-cares"].version == "5.2.1"
    assert found["py-cares"].platforms == ("manylinux_2_26_aarch64", "manylinux_2_28_aarch64")


def test_what_is_no_wheel_is_refused(wheels: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"slixmpp-1\.17\.0\.tar\.gz is no wheel"):
        wheels.packages({"install": [item("slixmpp", "slixmpp-1.17.0.tar.gz")]})


def test_markers_are_those_of_the_machine_that_is_asked_about(wheels: ModuleType) -> None:
    found = wheels.packages(REPORT)
    start = ["gpiozero>=2", "py_cares; platform_machine == 'aarch64'", "pywin32; sys_platform == 'win32'"]
    old = wheels.environment("3.11", "aarch64")
    used, missing = wheels.reached(start, found, old)
    assert sorted(used) == ["colorzero", "gpiozero", "py-cares"]
    assert [str(each) for each in missing] == ["importlib-metadata"]
    used, missing = wheels.reached(start, found, wheels.environment("3.12", "armv7l"))
    assert sorted(used) == ["colorzero", "gpiozero"]
    assert missing == []


def test_a_result_is_told_in_a_line(wheels: ModuleType) -> None:
    told = wheels.told(wheels.packages(REPORT))
    assert told == "4 wheels, compiled are py-cares 5.2.1, stranger 1.0"
    assert wheels.told("ERROR: no") == "NOT from wheels alone: ERROR: no"


def test_it_asks_for_what_the_project_says(wheels: ModuleType) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needs = wheels.requirements(project, wheels.EXTRA)
    assert any(each.startswith("gpiozero") for each in needs)
    assert any(each.startswith("slixmpp") for each in needs)
    names = {each.name for each in wheels.wanted(needs, wheels.environment("3.13", "aarch64"))}
    assert "lgpio" not in names, "it has no wheels for Python 3.13"


def test_the_way_on_armv7_is_the_guide_s(wheels: ModuleType) -> None:
    guide = (ROOT / "docs" / "hardware.md").read_text(encoding="utf-8")
    for line in wheels.BY_DEBIAN.splitlines():
        if line.startswith("    "):
            assert line.strip() in guide


def test_glibc_s_versions_are_named_one_by_one(wheels: ModuleType) -> None:
    tags = wheels.platforms("aarch64")
    assert {"manylinux2014_aarch64", "manylinux_2_17_aarch64", "manylinux_2_36_aarch64"} <= set(tags)
    assert "manylinux_2_37_aarch64" not in tags
