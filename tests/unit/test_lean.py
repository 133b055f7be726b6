"""What a device's process does not load; each look in an interpreter of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = """
import json, sys
from iotxmpp import Account, Agent, Reading

agent = Agent(Account(jid="d@example.org", password="p", host="127.0.0.1"), outbox="memory")

@agent.sensor("temperature", unit="Cel", every=30)
def temperature() -> float:
    return 21.5

assert agent.about.channels
import iotxmpp.xmpp
print(json.dumps(sorted(sys.modules)))
"""

FILE = """
import asyncio, json, sys
from pathlib import Path
from iotxmpp.cli.agent_run import run_agent

def look(serving):
    serving.close()
    print(json.dumps(sorted(sys.modules)))

asyncio.run = look
run_agent(Path(sys.argv[1]))
"""

NEVER = (
    "aiodns",
    "bz2",  # by shutil
    "cryptography",
    "difflib",  # for suggestions where somebody made a mistake
    "email",  # by importlib.metadata
    "gnupg",
    "importlib.metadata",
    "importlib.resources",
    "iotxmpp.agent.drivers.gpio",
    "iotxmpp.agent.drivers.i2c",
    "iotxmpp.agent.drivers.modbus",
    "iotxmpp.agent.drivers.onewire",
    "iotxmpp.agent.drivers.python",
    "iotxmpp.cli.app",
    "iotxmpp.controller",
    "iotxmpp.dataforms",  # for people, once one asks
    "iotxmpp.doctor",
    "iotxmpp.memory",
    "iotxmpp.server",
    "iotxmpp.serving.chat",
    "iotxmpp.serving.person",
    "iotxmpp.simulation",
    "iotxmpp.where",
    "iotxmpp.xmpp.provisioner",
    "jsonschema",
    "lzma",  # by shutil
    "pkg_resources",
    "prometheus_client",
    "pydantic.networks",
    "pydantic.root_model",
    "pydantic.type_adapter",  # for packs that others sent
    "pygments",
    "rich",
    "shutil",  # by tempfile
    "slixmpp.plugins.xep_0060",
    "slixmpp.thirdparty.gnupg",
    "sqlalchemy",
    "tempfile",  # for accounts that are written
    "typer",
    "unittest",
    "xml.sax",
    "zipfile",
)
"""What belongs to controllers, servers, people and faults; with all that is in it."""


OF_COMMANDS = {
    "iotxmpp.serving.audit",
    "iotxmpp.serving.execution",
    "iotxmpp.serving.journal",
    "iotxmpp.serving.server",
}
"""What an agent has no use for before it is called, unless it has commands."""

WITH_A_COMMAND = """
@agent.command(idempotent=True)
def water() -> None: ...

assert agent.about.channels
"""


def test_a_script_with_a_sensor_loads_nothing_that_it_has_no_use_for() -> None:
    loaded = run(SCRIPT)
    assert {"iotxmpp.agent.running", "slixmpp", "pydantic"} <= set(loaded)
    assert needless(loaded) == []
    assert not OF_COMMANDS & set(loaded)
    assert "iotxmpp.profiles" not in loaded
    assert "tomllib" not in loaded


def test_an_agent_of_a_file_loads_nothing_that_it_has_no_use_for(tmp_path: Path) -> None:
    account = tmp_path / "account.toml"
    account.touch(mode=0o600)
    account.write_text('jid = "d@example.org"\npassword = "p"\nhost = "127.0.0.1"\n', encoding="utf-8")
    file = tmp_path / "agent.toml"
    file.write_text(
        'account = "account.toml"\nprofile = "bme280"\ndriver.kind = "simulated"\noutbox = "memory"\n',
        encoding="utf-8",
    )
    loaded = run(FILE, str(file))
    assert {"iotxmpp.agent.running", "iotxmpp.profiles", "pydantic", "slixmpp"} <= set(loaded)
    assert needless(loaded) == []


def test_what_serves_a_command_is_loaded_when_one_is_declared() -> None:
    loaded = run(SCRIPT.replace("assert agent.about.channels\n", WITH_A_COMMAND))
    assert set(loaded) >= OF_COMMANDS
    assert needless(loaded) == []


def test_the_shapes_of_pydantics_schemas_alone_are_spared() -> None:
    code = """
import json
import typing_extensions
before = typing_extensions.TypedDict
from iotxmpp import Agent
from pydantic import TypeAdapter
from pydantic_core import ErrorDetails, core_schema
from typing_extensions import TypedDict, is_typeddict

class Mine(TypedDict):
    number: int

print(json.dumps([
    TypedDict is before,
    [is_typeddict(each) for each in (Mine, ErrorDetails, core_schema.IntSchema)],
    sorted(ErrorDetails.__annotations__),
    core_schema.CoreConfig(title="t"),
    TypeAdapter(Mine).validate_python({"number": "1"}),
    TypeAdapter(list[Mine]).json_schema()["$defs"]["Mine"]["required"],
]))
"""
    given_back, typed, keys, config, taken, required = run(code)
    assert given_back
    assert typed == [True, True, False]
    assert keys == ["ctx", "input", "loc", "msg", "type", "url"]
    assert (config, taken, required) == ({"title": "t"}, {"number": 1}, ["number"])


def test_a_core_that_makes_its_shapes_otherwise_is_loaded_as_it_is() -> None:
    code = """
import json
from iotxmpp import lean

def broken(*_):
    raise TypeError("made otherwise")

lean.new_class = broken
lean._SCHEMAS = "another module"
import typing_extensions
before = typing_extensions.TypedDict
from iotxmpp import Agent, Account
from pydantic_core import core_schema
account = Account(jid="d@example.org", password="p")
print(json.dumps([
    typing_extensions.TypedDict is before,
    typing_extensions.is_typeddict(core_schema.IntSchema),
    account.service,
]))
"""
    assert run(code) == [True, True, "pubsub.example.org"]


def test_a_program_that_has_loaded_pydantic_keeps_it() -> None:
    code = """
import json
from pydantic_core import core_schema
before = core_schema.IntSchema
from iotxmpp import Agent
from typing_extensions import is_typeddict
print(json.dumps([core_schema.IntSchema is before, is_typeddict(before)]))
"""
    assert run(code) == [True, True]


def test_what_was_spared_can_be_imported() -> None:
    code = """
import json
from iotxmpp import Agent
import iotxmpp.xmpp
from importlib.metadata import entry_points, version
from slixmpp.thirdparty import GPG
print(json.dumps([version("slixmpp"), len(entry_points(group="iotxmpp.drivers")), callable(GPG)]))
"""
    found, drivers, callable_ = run(code)
    assert found.partition(".")[0].isdigit()
    assert found != "0.0.0"
    assert drivers > 0
    assert callable_


def test_a_program_that_has_loaded_it_keeps_it() -> None:
    code = """
import importlib.metadata, json, sys
before = importlib.metadata
from iotxmpp import Agent
print(json.dumps(sys.modules["importlib.metadata"] is before))
"""
    assert run(code) is True


@pytest.mark.parametrize(("group", "loads"), [("[pydantic]", True), ("[other]", False)])
def test_a_plugin_of_pydantics_is_still_found(tmp_path: Path, group: str, loads: bool) -> None:
    folder = tmp_path / "seen-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: seen\nVersion: 1.0\n", encoding="utf-8")
    (folder / "entry_points.txt").write_text(f"{group}\nseen = seen:plugin\n", encoding="utf-8")
    (tmp_path / "seen.py").write_text(
        "class Plugin:\n"
        "    def new_schema_validator(self, *_, **__):\n"
        "        return None, None, None\n"
        "plugin = Plugin()\n",
        encoding="utf-8",
    )
    code = """
import json, sys
sys.path.insert(0, sys.argv[1])
from iotxmpp import Agent
print(json.dumps(["seen" in sys.modules, "importlib.metadata" in sys.modules]))
"""
    assert run(code, str(tmp_path)) == [loads, loads]


def needless(loaded: list[str]) -> list[str]:
    return [name for name in loaded if any(name == each or name.startswith(f"{each}.") for each in NEVER)]


def run(code: str, *arguments: str) -> Any:  # noqa: ANN401  # what the program says
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
