"""What `pip install 'iotxmpp[pi]'` needs on small boards, from the wheels' tags: `python bench/wheels.py`.

For each machine and Python, pip resolves the requirements of pyproject.toml as it would do there, among
wheels alone; nothing is installed. The last line is the verdict: arm64 and amd64 must need no compiler.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
EXTRA = "pi"
PYTHONS = ("3.11", "3.12", "3.13")
MACHINES = {"arm64": "aarch64", "amd64": "x86_64"}
ARMV7 = "armv7l"
GLIBC = 36
"""The minor version of Debian 12's C library."""

BY_DEBIAN = """\
On armv7 take pycares and cffi from Debian, which has built them:

    sudo apt install python3-venv python3-pycares python3-cffi
    sudo /usr/bin/python3 -m venv --system-site-packages /opt/iotxmpp
    sudo /opt/iotxmpp/bin/pip install '.[pi]' 'aiodns<3.5'

aiodns 3.4 is the last one that takes the pycares of Debian 12. slixmpp's one module in Rust is optional:
pip makes its package from the source without any compiler, and the same module in Python serves."""


@dataclass(frozen=True, kw_only=True)
class Package:
    """A package that pip chose.

    Attributes:
        name: Its canonical name.
        version: Its version.
        file: The wheel.
        needs: What it requires, as its metadata say.
    """

    name: str
    version: str
    file: str
    needs: tuple[str, ...]

    @property
    def platforms(self) -> tuple[str, ...]:
        """The platforms of its tags; `any` for one without compiled code."""
        return tuple(sorted({tag.platform for tag in parse_wheel_filename(self.file)[3]}))

    @property
    def pure(self) -> bool:
        """Whether it has no compiled code."""
        return self.platforms == ("any",)


def requirements(project: Mapping[str, Any], extra: str) -> list[str]:
    """What a project requires with one of its extras."""
    return [*project["dependencies"], *project["optional-dependencies"][extra]]


def environment(python: str, machine: str) -> dict[str, str]:
    """What markers ask for, on that machine."""
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{python}.0",
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
    }


def wanted(needs: Iterable[str], where: Mapping[str, str]) -> Iterator[Requirement]:
    """The requirements that count there, without their markers."""
    for text in needs:
        each = Requirement(text)
        if each.marker is None or each.marker.evaluate({**where, "extra": ""}):
            each.marker = None
            yield each


def packages(report: Mapping[str, Any]) -> dict[str, Package]:
    """The packages of pip's report, by name.

    Raises:
        ValueError: One of them is no wheel.
    """
    found: dict[str, Package] = {}
    for item in report["install"]:
        data = item["metadata"]
        file = item["download_info"]["url"].rpartition("/")[2].partition("#")[0]
        if not file.endswith(".whl"):
            raise ValueError(f"{file} is no wheel")
        name = canonicalize_name(data["name"])
        found[name] = Package(
            name=name, version=data["version"], file=file, needs=tuple(data.get("requires_dist", ()))
        )
    return found


def reached(
    start: Iterable[str], found: Mapping[str, Package], where: Mapping[str, str]
) -> tuple[dict[str, Package], list[Requirement]]:
    """What is really needed of what pip chose, and what is needed besides.

    pip asks the markers of dependencies for the machine that it runs on, not for the one that was named.
    """
    used: dict[str, Package] = {}
    missing: list[Requirement] = []
    waiting = list(wanted(start, where))
    while waiting:
        each = waiting.pop()
        name = canonicalize_name(each.name)
        if name in used:
            continue
        if name not in found:
            missing.append(each)
            continue
        used[name] = found[name]
        waiting += wanted(found[name].needs, where)
    return used, missing


def platforms(machine: str) -> list[str]:
    """The tags that a machine with Debian 12 takes."""
    named = [f"manylinux_2_{minor}_{machine}" for minor in range(17, GLIBC + 1)]
    return [f"linux_{machine}", f"manylinux2014_{machine}", *named]


def ask_pip(words: Iterable[str], python: str, machine: str, *more: str) -> dict[str, Package] | str:
    """What pip would install there; its last line if there is no answer."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
        command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", python]
        command += [f"--platform={each}" for each in platforms(machine)]
        command += ["--target", folder, "--report", str(report), *more, *words]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode:
            return (ended.stderr.strip().splitlines() or ["no answer"])[-1]
        return packages(json.loads(report.read_text(encoding="utf-8")))


def resolve(needs: list[str], python: str, machine: str) -> dict[str, Package] | str:
    """What is installed there from wheels alone; why not, where that cannot be."""
    where = environment(python, machine)
    words = [str(each) for each in wanted(needs, where)]
    while True:
        found = ask_pip(words, python, machine)
        if isinstance(found, str):
            return found
        used, missing = reached(needs, found, where)
        if not missing:
            return used
        words += [str(each) for each in missing]


def without_wheel(chosen: Iterable[Package], python: str) -> list[str]:
    """Those with compiled code that have no wheel for armv7; with the version that was asked for."""
    asked = [f"{each.name}=={each.version}" for each in chosen if not each.pure]
    return [each for each in asked if isinstance(ask_pip([each], python, ARMV7, "--no-deps"), str)]


def main() -> int:
    """Asks for each machine and Python, and prints what it needs."""
    argparse.ArgumentParser(description="Tell what small boards need to install iotxmpp.").parse_args()
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    needs = requirements(project, EXTRA)
    good = True
    for label, machine in MACHINES.items():
        for python in PYTHONS:
            found = resolve(needs, python, machine)
            good &= not isinstance(found, str)
            print(f"{label}, Python {python}: {told(found)}")
    for python in PYTHONS:
        found = resolve(needs, python, MACHINES["arm64"])
        lacking = [found] if isinstance(found, str) else without_wheel(found.values(), python)
        print(f"armv7, Python {python}: no wheels for {', '.join(lacking) or 'nothing: all have one'}")
    print(f"\n{BY_DEBIAN}\n")
    print(f"pip install '{project['name']}[{EXTRA}]' needs no compiler on arm64 and amd64: {good}")
    return 0 if good else 1


def told(found: dict[str, Package] | str) -> str:
    """A result in one line."""
    if isinstance(found, str):
        return f"NOT from wheels alone: {found}"
    compiled = sorted(f"{each.name} {each.version}" for each in found.values() if not each.pure)
    return f"{len(found)} wheels, compiled are {', '.join(compiled) or 'none'}"


if __name__ == "__main__":
    sys.exit(main())
