"""Imports go downward only, and libraries stay in their rooms."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.unit.loaded import loaded_by, tops

ROOT = Path(__file__).parents[2]
PACKAGES = ("iotxmpp", "device_profiles", "firmware_bridge")
MOST_LINES = 400

VALUES = frozenset(
    {
        "about",
        "access",
        "account",
        "addresses",
        "arguments",
        "backoff",
        "commands",
        "crashpoints",
        "dataforms",
        "delivery",
        "durations",
        "eager",
        "errors",
        "extending",
        "faulttexts",
        "fleet",
        "intervals",
        "kinds",
        "kindtexts",
        "lean",
        "liveness",
        "payloads",
        "profiles",
        "readings",
        "relations",
        "senml",
        "senml_encode",
        "senml_json",
        "senml_rules",
        "status",
        "strictjson",
        "tables",
        "textargs",
        "twin",
        "units",
        "validation",
        "version",
        "where",
        "xmltext",
    }
)
"""Modules of iotxmpp that are values and rules, and do no I/O but for account files and what is installed."""

PORT = frozenset({"discovery", "link", "provisioning", "registrations"})
"""Modules of iotxmpp that say what a link is, and hold what every kind of link does alike."""

ABOVE: dict[str, frozenset[str]] = {
    "values": frozenset(),
    "link": frozenset({"values"}),
    "memory": frozenset({"values", "link"}),
    "xmpp": frozenset({"values", "link"}),
    "profiles": frozenset({"values"}),
    "bridge": frozenset({"values"}),
    "boards": frozenset({"values", "profiles", "bridge", "agent", "cli", "kernelfiles"}),
    "serving": frozenset({"values", "link"}),
    "agent": frozenset({"values", "link", "xmpp", "profiles", "serving"}),
    "controller": frozenset({"values", "link", "xmpp", "serving"}),
    "server": frozenset({"values", "link"}),
    "facade": frozenset({"values", "agent", "controller", "serving"}),
    "systemd": frozenset({"values"}),
    "kernelfiles": frozenset(),
    "doctor": frozenset({"values", "link", "xmpp", "profiles", "agent", "systemd", "kernelfiles"}),
    "demo": frozenset({"values", "link", "memory", "xmpp", "serving", "agent", "controller", "server"}),
    "simulation": frozenset(
        {"values", "link", "memory", "xmpp", "profiles", "serving", "agent", "server", "demo"}
    ),
    "cli": frozenset(
        {
            "values",
            "doctor",
            "systemd",
            "link",
            "xmpp",
            "profiles",
            "serving",
            "agent",
            "controller",
            "server",
            "demo",
            "simulation",
            "facade",
        }
    ),
}
"""Each room, with the rooms that it may import besides itself; what is not named is forbidden."""

BOARDS = frozenset(
    {
        "binding",
        "candidates",
        "cli",
        "driver",
        "finding",
        "flash",
        "flashing",
        "hearing",
        "link",
        "memorypms",
        "memoryport",
        "port",
        "probeview",
        "probing",
        "profiletext",
        "reserving",
        "restarting",
        "scaffold",
        "settings",
        "toolpty",
        "updating",
    }
)
"""Modules of firmware_bridge that do I/O, or serve the agent and the command line; all others do neither."""

RUNNERS = {"agent.running", "controller.controller"}
"""Modules that make the link to a real server, unless they are given another."""

HOMES: dict[str, tuple[str, ...]] = {
    "slixmpp": ("iotxmpp.xmpp",),
    "prometheus_client": ("iotxmpp.controller.metrics",),
    "sqlalchemy": ("iotxmpp.controller.store",),
    "cryptography": ("iotxmpp.server.certificate",),
    "gpiozero": ("iotxmpp.agent.drivers.gpio",),
    "serialx": ("firmware_bridge.port",),
    "typer": ("iotxmpp.cli", "firmware_bridge.cli", "firmware_bridge.probeview"),
    "rich": ("iotxmpp.cli", "firmware_bridge.probeview"),
    "plotext": ("iotxmpp.cli",),
    "matplotlib": ("iotxmpp.cli",),
    "pydantic": (
        "iotxmpp",
        "device_profiles",
        "firmware_bridge.binding",
        "firmware_bridge.driver",
        "firmware_bridge.probeview",
        "firmware_bridge.settings",
        "firmware_bridge.updating",
    ),
    "pydantic_core": ("iotxmpp.arguments", "iotxmpp.senml_json"),
    "typing_extensions": ("iotxmpp",),
    "smbus2": ("iotxmpp.agent.drivers.i2c.bus",),
    "pymodbus": ("iotxmpp.agent.drivers.modbus",),
}
"""Libraries from outside, with the only modules and rooms that import them."""


@dataclass(frozen=True, kw_only=True)
class Import:
    """One imported module, wherever in a file it is imported."""

    importer: str
    target: str
    where: str


class Tree:
    """The modules of a source tree, by name."""

    def __init__(self, root: Path) -> None:
        self.files = {
            _name(path.relative_to(root)): path
            for package in PACKAGES
            for path in sorted((root / package).rglob("*.py"))
        }

    def imports(self) -> Iterator[Import]:
        for name, path in self.files.items():
            package = name if path.stem == "__init__" else name.rpartition(".")[0]
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                for target in self._targets(node, package):
                    line = getattr(node, "lineno", 0)
                    yield Import(importer=name, target=target, where=f"{path.name}:{line}")

    def _targets(self, node: ast.AST, package: str) -> Iterator[str]:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parts, *([node.module] if node.module else [])])
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield full if full in self.files else base


def _name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room(module: str) -> str:
    """The room of one of our modules."""
    package, _, rest = module.partition(".")
    if package == "device_profiles":
        return "profiles"
    if package == "firmware_bridge":
        return "boards" if rest in BOARDS else "bridge"
    first = rest.partition(".")[0]
    if first in VALUES:
        return "values"
    if first in PORT:
        return "link"
    return {"": "facade", "__main__": "cli"}.get(first, first)


def faults(root: Path) -> list[str]:
    """Each import that breaks a rule."""
    found = []
    for each in Tree(root).imports():
        top = each.target.partition(".")[0]
        text = f"{each.importer} imports {each.target} ({each.where})"
        if top in PACKAGES:
            if not _may_import(each.importer, each.target):
                found.append(text)
        elif top in HOMES:
            if not any(each.importer == home or each.importer.startswith(f"{home}.") for home in HOMES[top]):
                found.append(text)
        elif top not in sys.stdlib_module_names:
            found.append(f"{text}: unknown library")
    return found


def _may_import(importer: str, target: str) -> bool:
    inner, outer = room(importer), room(target)
    if inner == outer:
        return True
    if outer == "xmpp" and inner in ("agent", "controller"):
        return importer.removeprefix("iotxmpp.") in RUNNERS
    return outer in ABOVE.get(inner, frozenset())


def test_every_import_goes_downward_and_every_library_stays_in_its_room() -> None:
    assert faults(ROOT) == []


def test_every_module_is_in_a_known_room() -> None:
    names = Tree(ROOT).files
    assert len(names) > 80
    assert {room(name) for name in names} <= ABOVE.keys()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("iotxmpp/controller/new.py", "from iotxmpp.agent import Agent"),
        ("iotxmpp/agent/new.py", "import iotxmpp.controller.store"),
        ("iotxmpp/agent/new.py", "def late() -> None:\n    from iotxmpp.controller import Store"),
        ("iotxmpp/agent/new.py", "from ..controller import store"),
        ("iotxmpp/agent/new.py", "from iotxmpp import Controller"),
        ("iotxmpp/agent/new.py", "from iotxmpp.memory import MemoryServer"),
        ("iotxmpp/agent/new.py", "from iotxmpp.xmpp import XmppLink"),
        ("iotxmpp/agent/new.py", "import firmware_bridge.lines"),
        ("iotxmpp/serving/new.py", "from iotxmpp.agent import Agent"),
        ("iotxmpp/serving/new.py", "from iotxmpp.controller import Controller"),
        ("iotxmpp/memory/new.py", "from iotxmpp.serving.command import Command"),
        ("iotxmpp/server/new.py", "from iotxmpp.agent import Agent"),
        ("iotxmpp/server/new.py", "from iotxmpp.xmpp import XmppLink"),
        ("iotxmpp/memory/new.py", "from iotxmpp.xmpp import XmppLink"),
        ("iotxmpp/senml.py", "from iotxmpp.link import Item"),
        ("iotxmpp/link.py", "from iotxmpp import memory"),
        ("iotxmpp/controller/new.py", "import slixmpp"),
        ("iotxmpp/controller/new.py", "if True:\n    from slixmpp.stanza import Iq"),
        ("iotxmpp/controller/new.py", "from prometheus_client import Gauge"),
        ("iotxmpp/controller/new.py", "import sqlalchemy.orm"),
        ("iotxmpp/agent/new.py", "import typer"),
        ("iotxmpp/demo/new.py", "from rich.table import Table"),
        ("iotxmpp/agent/new.py", "import psutil"),
        ("device_profiles/new.py", "from iotxmpp.agent import Agent"),
        ("firmware_bridge/new.py", "import serialx"),
        ("firmware_bridge/session.py", "from firmware_bridge import link"),
        ("firmware_bridge/frames.py", "from iotxmpp.agent import Agent"),
    ],
)
def test_a_planted_violation_is_found(tmp_path: Path, path: str, text: str) -> None:
    bridge = tmp_path / "firmware_bridge"
    bridge.mkdir()
    for module in ("__init__", "link"):
        (bridge / f"{module}.py").touch()
    for package in ("memory", "serving", "controller", "agent", "xmpp"):
        (tmp_path / "iotxmpp" / package).mkdir(parents=True)
        (tmp_path / "iotxmpp" / package / "__init__.py").touch()
    (tmp_path / "iotxmpp" / "__init__.py").touch()
    (tmp_path / "iotxmpp" / "link.py").touch()
    assert faults(tmp_path) == []
    planted = tmp_path / path
    planted.parent.mkdir(parents=True, exist_ok=True)
    planted.write_text(f'"""Planted."""\n{text}\n')
    assert len(faults(tmp_path)) == 1


def test_only_two_front_doors_import_by_name_and_name_what_they_may() -> None:
    dynamic = [
        name
        for name, path in Tree(ROOT).files.items()
        if "import_module" in path.read_text(encoding="utf-8") or "__import__" in path.read_text("utf-8")
    ]
    assert dynamic == ["iotxmpp", "iotxmpp.controller"]
    import iotxmpp
    import iotxmpp.controller

    modules = Tree(ROOT).files
    for door in (iotxmpp, iotxmpp.controller):
        homes = set(door._HOMES.values())
        assert homes
        assert homes <= modules.keys()
        assert [home for home in homes if not _may_import(door.__name__, home)] == []


def test_no_module_is_longer_than_one_can_read() -> None:
    files = dict(Tree(ROOT).files)
    files |= {str(path): path for folder in ("tests", "bench") for path in (ROOT / folder).rglob("*.py")}
    lengths = {name: len(path.read_text("utf-8").splitlines()) for name, path in files.items()}
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}


def test_importing_iotxmpp_loads_no_library() -> None:
    modules = loaded_by("import iotxmpp")
    assert not tops(modules) & {*HOMES, "pytest"}
    assert {module for module in modules if module.startswith("iotxmpp")} == {"iotxmpp"}
