"""The python driver: the user's own functions."""

import asyncio
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from iotxmpp.agent.config import load_agent
from iotxmpp.agent.drivers import create_driver
from iotxmpp.agent.drivers.python import PythonDriver
from iotxmpp.agent.profiled import equip
from iotxmpp.errors import ArgumentsError, CommandFailedError, ConfigError, InvalidError
from iotxmpp.profiles import parse_profile
from tests.unit.agent_house import House, open_house, until

PROFILE = """
schema = 1
id = "tank"
version = "1.0.0"
driver = { kind = "python" }
[readings.level]
type = "float"
range = [0, 100]
every = 0.02
[readings.pump]
type = "bool"
every = 0.02
"""
COMMANDS = """
[commands.fill]
effect = { set = "pump", value = true }
args.litres = { type = "int", range = [1, 9] }
"""


def put(path: Path, text: str) -> None:
    path.write_text(text)


def python(path: Path | None, text: str = PROFILE, /, **settings: object) -> PythonDriver:
    if path is not None:
        settings["file"] = path
    driver = create_driver(parse_profile(text, "tank.toml"), settings)
    assert isinstance(driver, PythonDriver)
    return driver


@pytest.fixture
def write(tmp_path: Path) -> Path:
    return tmp_path / "own.py"


async def test_a_plain_function_is_called_in_a_thread(write: Path) -> None:
    put(
        write,
        "import threading\ndef read():\n    return {'level': float(threading.get_ident()), 'pump': None}\n",
    )
    async with python(write) as driver:
        values = await driver.read()
    assert values.keys() == {"level"}
    assert values["level"] != threading.get_ident()


async def test_a_coroutine_function_is_awaited_on_the_loop(write: Path) -> None:
    put(
        write,
        "import asyncio\n"
        "async def look():\n"
        "    await asyncio.sleep(0)\n"
        "    return {'level': 40.0, 'pump': True}\n",
    )
    async with python(write, function="look") as driver:
        assert await driver.read() == {"level": 40.0, "pump": True}


async def test_a_function_of_a_module_is_found_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_tank_module.py").write_text("def read():\n    return None\n")
    monkeypatch.syspath_prepend(tmp_path)
    async with python(None, function="own_tank_module:read") as driver:
        assert await driver.read() == {}
    sys.modules.pop("own_tank_module")


async def test_one_channel_takes_a_bare_value(write: Path) -> None:
    put(write, "def read():\n    return 12.5\n")
    one = PROFILE.partition("[readings.pump]")[0]
    async with python(write, one) as driver:
        assert await driver.read() == {"level": 12.5}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return [1, 2]", "tank: read returned list; return a dict by channel: level, pump"),
        ("return 5.0", "tank: read returned float"),
        ("return {1: 2}", "tank: read returned dict"),
        ("return 1 / 0", "tank: own.py line 2: ZeroDivisionError: division by zero"),
        ("raise OSError(5, 'bus')", r"tank: own.py line 2: OSError: \[Errno 5\] bus"),
        ("import json; json.loads('{')", "tank: own.py line 2: JSONDecodeError"),
        ("import sys; sys.exit(3)", "tank: own.py line 2: SystemExit: 3$"),
        ("raise KeyboardInterrupt", "tank: own.py line 2: KeyboardInterrupt$"),
        ("raise StopIteration", "tank: own.py line 2: StopIteration$"),
        ("raise RuntimeError('dry') from OSError('bus')", "tank: own.py line 2: RuntimeError: dry$"),
    ],
)
@pytest.mark.parametrize("way", ["def", "async def"])
async def test_what_a_function_does_wrong_is_told_with_its_line(
    write: Path, body: str, words: str, way: str
) -> None:
    put(write, f"{way} read():\n    {body}\n")
    async with python(write) as driver:
        with pytest.raises(InvalidError, match=words):
            await driver.read()
        with pytest.raises(InvalidError, match=words):
            await driver.read()


@pytest.mark.parametrize(
    ("text", "settings", "words"),
    [
        ("def read(:\n", {}, r"own\.py line 1: SyntaxError"),
        ("import nothing_like_this\n", {}, r"own\.py line 1: ModuleNotFoundError"),
        ("1 / 0\n", {}, r"own\.py line 1: ZeroDivisionError"),
        ("import sys\nsys.exit(3)\n", {}, r"own\.py line 2: SystemExit: 3$"),
        ("read = 5\n", {}, "read: int is no function"),
        ("", {}, "read: not found: .*no attribute 'read'"),
        ("def read(): ...\n", {"command": "tell"}, "tell: not found"),
    ],
)
async def test_a_file_that_cannot_be_used_is_told_with_its_line(
    write: Path, text: str, settings: dict[str, object], words: str
) -> None:
    put(write, text)
    with pytest.raises(ConfigError, match=words):
        async with python(write, **settings):
            pass


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"function": "read"}, 'give either "module:function", or file'),
        ({"function": "a b:c"}, 'use "module:function"'),
        ({"file": "nowhere.py"}, r"file nowhere\.py: there is none"),
        ({"file": "nowhere.py", "function": "m:read"}, 'give either "module:function", or file'),
        (
            {"function": "m:read", "funktion": "x"},
            "unknown key funktion in driver: did you mean function",
        ),
    ],
)
def test_a_wrong_setting_is_told(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        python(None, **settings)


async def test_a_missing_module_is_told() -> None:
    with pytest.raises(
        ConfigError, match=r'no_such_module:read: not found.*; .* write file = "no_such_module\.py"$'
    ):
        async with python(None, function="no_such_module:read"):
            pass


def test_commands_need_a_function(write: Path) -> None:
    put(write, "def read(): ...\n")
    with pytest.raises(ConfigError, match="nothing serves command 'fill'; give command ="):
        python(write, PROFILE + COMMANDS)


COMMANDING = """
from iotxmpp.errors import ArgumentsError
def read():
    return {}
def command(name, arguments):
    if arguments["litres"] == 1:
        raise ArgumentsError("litres: too little")
    if arguments["litres"] == 2:
        raise RuntimeError("dry")
    if arguments["litres"] == 4:
        raise SystemExit("empty")
    return object() if arguments["litres"] == 3 else {"did": [name, arguments["litres"]]}
"""


async def test_commands_are_carried_out_and_their_faults_told(write: Path) -> None:
    put(write, COMMANDING)
    async with python(write, PROFILE + COMMANDS, command="command") as driver:
        assert await driver.command("fill", {"litres": 5}) == {"did": ["fill", 5]}
        with pytest.raises(ArgumentsError, match="too little"):
            await driver.command("fill", {"litres": 1})
        with pytest.raises(CommandFailedError, match=r"fill: own\.py line 9: RuntimeError: dry"):
            await driver.command("fill", {"litres": 2})
        with pytest.raises(CommandFailedError, match=r"fill: own\.py line 11: SystemExit: empty$"):
            await driver.command("fill", {"litres": 4})
        with pytest.raises(CommandFailedError, match="fill: its result is no JSON"):
            await driver.command("fill", {"litres": 3})
        with pytest.raises(ArgumentsError, match="10 is not in 1 to 9"):
            await driver.command("fill", {"litres": 10})


async def test_the_simulated_twin_needs_no_function() -> None:
    async with python(None, PROFILE + COMMANDS, simulated=True) as driver:
        values = await driver.read()
        assert values.keys() == {"level", "pump"}
        assert await driver.command("fill", {"litres": 5}) == {"pump": True}
        assert (await driver.read())["pump"] is True


async def test_before_it_is_open_it_answers_nothing() -> None:
    driver = python(None, PROFILE + COMMANDS, simulated=True)
    with pytest.raises(InvalidError, match="not open"):
        await driver.read()
    with pytest.raises(CommandFailedError, match="not open"):
        await driver.command("fill", {"litres": 5})


@pytest.fixture
async def house(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    async with open_house() as opened:
        monkeypatch.setattr("iotxmpp.agent.agent.open_link", opened.server.link)
        yield opened


async def test_its_file_is_found_beside_the_agent_s_file(house: House, write: Path) -> None:
    put(write, "def read():\n    return {'level': 30.0}\n")
    put(write.with_name("tank.toml"), PROFILE)
    account = write.with_name("account.toml")
    put(account, 'jid = "greenhouse@example.org"\npassword = "secret"\ncontrollers = ["house@example.org"]\n')
    account.chmod(0o600)
    put(
        write.with_name("agent.toml"),
        'account = "account.toml"\nprofile = "tank.toml"\ndriver = { file = "own.py" }\n',
    )
    assert Path.cwd() != write.parent
    async with load_agent(write.with_name("agent.toml")):
        await until(lambda: 30.0 in house.values("level"))


def test_a_missing_file_is_told_with_its_whole_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"file {tmp_path}/nowhere.py: there is none"):
        create_driver(parse_profile(PROFILE, "tank.toml"), {"file": "nowhere.py"}, folder=tmp_path)


async def test_in_an_agent_a_fault_is_a_problem_and_passes(house: House, write: Path) -> None:
    flag = write.with_name("broken")
    flag.touch()
    put(
        write,
        "from pathlib import Path\n"
        "def read():\n"
        f"    if Path({str(flag)!r}).exists():\n"
        "        raise ValueError('no answer')\n"
        "    return {'level': 50.0, 'pump': 'on'}\n",
    )
    profile = parse_profile(PROFILE, "tank.toml")
    agent = house.agent()
    equip(agent, profile, lambda: create_driver(profile, {"file": write}))
    async with agent:
        await until(lambda: agent.status.problems == ("tank: own.py line 4: ValueError: no answer",))
        await asyncio.to_thread(flag.unlink)
        await until(lambda: bool(house.values("level")))
        assert agent.status.problems == ("pump: 'on' is str, expected bool",)
    assert house.values("pump") == []
