"""The wheel: what it holds, what it asks for, and that it works by itself."""

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from configparser import ConfigParser
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = {"slixmpp", "pydantic", "typer", "typing-extensions"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        check=True,
        capture_output=True,
        cwd=ROOT,
        timeout=120,
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def archive(wheel: Path) -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(wheel) as opened:
        yield opened


@pytest.fixture(scope="module")
def metadata(archive: zipfile.ZipFile) -> Message:
    return Parser().parsestr(_text(archive, "METADATA"))


def _text(archive: zipfile.ZipFile, name: str) -> str:
    (path,) = (each for each in archive.namelist() if each.endswith(f".dist-info/{name}"))
    return archive.read(path).decode()


def _sources(package: str) -> set[str]:
    return {
        str(path.relative_to(ROOT))
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


@pytest.mark.parametrize("package", ["iotxmpp", "device_profiles", "firmware_bridge"])
def test_the_wheel_holds_each_package_whole(archive: zipfile.ZipFile, package: str) -> None:
    held = {name for name in archive.namelist() if name.startswith(f"{package}/")}
    assert held == _sources(package)


def test_the_wheel_holds_nothing_else(archive: zipfile.ZipFile) -> None:
    tops = {name.partition("/")[0] for name in archive.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "iotxmpp",
        "device_profiles",
        "firmware_bridge",
    }


def test_the_wheel_says_that_it_is_typed_and_brings_profiles(archive: zipfile.ZipFile) -> None:
    names = archive.namelist()
    assert "iotxmpp/py.typed" in names
    assert {"device_profiles/host.toml", "device_profiles/bme280.toml"} <= set(names)


def test_the_wheel_brings_the_license(archive: zipfile.ZipFile) -> None:
    (path,) = (name for name in archive.namelist() if name.endswith("LICENSE"))
    assert archive.read(path).decode() == (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_the_wheel_is_for_every_machine(wheel: Path) -> None:
    assert wheel.name.endswith("-py3-none-any.whl")


def test_the_entry_points_are_there(archive: zipfile.ZipFile) -> None:
    points = ConfigParser()
    points.read_string(_text(archive, "entry_points.txt"))
    assert dict(points["console_scripts"]) == {"iotxmpp": "iotxmpp.cli:main"}
    assert {"host", "simulated"} <= set(points["iotxmpp.drivers"])


def test_an_agent_asks_for_little(metadata: Message) -> None:
    needs = metadata.get_all("Requires-Dist") or []
    core = {_project(need) for need in needs if "extra ==" not in need}
    assert core == CORE
    assert metadata["Requires-Python"] == ">=3.11"


@pytest.mark.parametrize(
    ("extra", "project"),
    [
        ("controller", "prometheus-client"),
        ("controller", "sqlalchemy"),
        ("plot", "plotext"),
        ("png", "matplotlib"),
        ("postgres", "psycopg"),
        ("server", "cryptography"),
    ],
)
def test_an_extra_brings_what_its_room_needs(metadata: Message, extra: str, project: str) -> None:
    assert project in _brought_by(metadata, extra)


def test_all_extras_come_together_but_the_heavy_one(metadata: Message) -> None:
    names = set(metadata.get_all("Provides-Extra") or [])
    assert {"all", "png"} <= names
    others = {project for name in names - {"all", "png"} for project in _brought_by(metadata, name)}
    assert _brought_by(metadata, "all") == others
    assert not others & _brought_by(metadata, "png")


def test_the_lock_holds_what_every_extra_brings(metadata: Message) -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked = {line.partition("==")[0].partition("[")[0] for line in lock.splitlines() if "==" in line}
    names = metadata.get_all("Provides-Extra") or []
    assert {project for name in names for project in _brought_by(metadata, name)} <= locked


def _brought_by(metadata: Message, extra: str) -> set[str]:
    needs = metadata.get_all("Requires-Dist") or []
    return {_project(need) for need in needs if f"extra == '{extra}'" in need}


def _project(need: str) -> str:
    """The project's name in a requirement."""
    return need.replace(";", " ").replace("<", " ").replace(">", " ").replace("[", " ").split()[0].lower()


FROM_THE_WHEEL = """
import device_profiles, firmware_bridge, iotxmpp
from iotxmpp import Agent
agent = Agent("greenhouse@example.org", profile="bme280")
print(iotxmpp.__file__)
print(device_profiles.names())
print(agent.profile)
"""


def test_the_wheel_works_by_itself(wheel: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FROM_THE_WHEEL],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(wheel)},
        timeout=60,
    )
    place, profiles, profile = done.stdout.splitlines()
    assert place.startswith(str(wheel))
    assert "'bme280'" in profiles
    assert profile == "bme280 1.0.0"
