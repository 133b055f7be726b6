"""`iotxmpp profile`: what it lists, shows, checks and writes."""

import json
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict
from typer.testing import CliRunner, Result

import device_profiles
from device_profiles.table import END, START, main, table, with_table
from iotxmpp.agent.config import check_agent
from iotxmpp.agent.drivers import create_driver
from iotxmpp.cli import starters
from iotxmpp.cli.app import app
from iotxmpp.cli.exits import Exit
from iotxmpp.cli.schemas import agent_schema, profile_schema
from iotxmpp.doctor.device import read_device
from iotxmpp.errors import ConfigError
from iotxmpp.profiles import Profile

GOOD = 'schema = 1\nid = "x"\nversion = "1.0.0"\ndriver = { kind = "simulated" }\n'


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["profile", *map(str, arguments)])


def good(*arguments: str | Path) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*arguments: str | Path) -> str:
    result = run(*arguments)
    assert isinstance(result.exception, ConfigError), result.output
    return str(result.exception)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(folder: Path, text: str, name: str = "x.toml") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


# List and show.


def test_list_shows_every_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    shown = good("list")
    assert all(name in shown for name in device_profiles.names())
    listed = json.loads(good("list", "--json"))
    assert [each["id"] for each in listed] == device_profiles.names()
    (meter,) = (each for each in listed if each["id"] == "sdm630")
    assert meter["driver"] == "modbus"
    assert meter["channels"]["voltage/3"] == "V"


def test_show_for_people() -> None:
    shown = good("show", "relay4")
    assert shown.startswith("relay4 1.0.0: Four relays\n")
    assert "driver gpio" in shown
    assert "for: float in s, optional. After this time it goes back" in shown
    assert "extends sdm120" in good("show", "sdm630")


def test_show_for_scripts() -> None:
    shown = json.loads(good("show", "sdm630", "--json"))
    assert shown["schema"] == 1
    assert shown["readings"]["voltage"]["unit"] == "V"
    assert shown["driver"] == {"kind": "modbus", "baud": 9600, "unit": 1}


def test_show_to_copy(here: Path) -> None:
    for name in device_profiles.names():
        text = good("show", name, "--toml")
        assert tomllib.loads(text)["id"] == name
    file = written(here, "# Mine.\n" + GOOD)
    assert good("show", file, "--toml") == "# Mine.\n" + GOOD
    assert "x 1.0.0" in good("show", file)


def test_show_of_what_is_not_there(here: Path) -> None:
    assert "did you mean bme280?" in refused("show", "bme208")
    assert "none.toml: cannot be read" in refused("show", "none.toml")


def test_what_others_wrote_does_not_steer_the_terminal(here: Path) -> None:
    file = written(here, GOOD + 'title = "\\u009b2J\\u202e"\n[commands.c]\ndescription = "\\u009b31m"\n')
    assert not {"\x9b", "\u202e"} & set(good("show", file))


# Check.


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('title = "T\\u0001"', "commands.a.title: text: character U+0001 at position 1 cannot travel"),
        ('description = "\\ufffe"', "commands.a.description: text: character U+FFFE"),
        ('role = "\\u0007"', "commands.a.role: text: character U+0007"),
        ('role = " "', "commands.a.role: it is empty; name the least role, such as operator"),
        ('args.x = { type = "str", title = "\\u0001" }', "commands.a.args.x.title: text: character U+0001"),
        ('args.x = { type = "str", choices = ["\\u0001"] }', "text: character U+0001"),
        ('args."" = { type = "int" }', "commands.a.args: name '': use A-Z"),
        ('args."x y" = { type = "int" }', "commands.a.args: name 'x y': use A-Z"),
        ('args."x=y" = { type = "int" }', "commands.a.args: name 'x=y': use A-Z"),
        ('args.-x = { type = "int" }', "commands.a.args: name '-x': use A-Z"),
    ],
)
def test_what_a_device_could_not_say_or_nobody_type_is_a_fault(here: Path, line: str, words: str) -> None:
    result = run("check", written(here, f"{GOOD}[commands.a]\n{line}\n"))
    assert result.exit_code == Exit.USAGE
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_file_of_the_driver_lies_beside_the_profile(here: Path) -> None:
    (here / "base").mkdir()
    (here / "own").mkdir()
    text = GOOD.replace('{ kind = "simulated" }', '{ kind = "python", file = "hang.py" }')
    parent = written(here / "base", text, "base.toml")
    child = written(
        here / "own", 'schema = 1\nid = "y"\nversion = "1.0.0"\nextends = "../base/base.toml"\n', "y.toml"
    )
    for file in (parent, child):
        result = run("check", file)
        assert result.exit_code == Exit.USAGE
        assert f"file {here / 'base'}/hang.py: there is none" in result.stderr.replace("own/../", "")
    (here / "base" / "hang.py").write_text("def read():\n    return {}\n")
    assert "good" in good("check", parent)
    assert "good" in good("check", child)
    # The agent's file is in a third folder: what it says itself starts there, the rest at the profile.
    account = written(here, 'jid = "hall@example.org"\npassword = "secret"\n', "account.toml")
    account.chmod(0o600)
    agent = 'account = "account.toml"\nprofile = "own/y.toml"\n'
    config = written(here, agent, "agent.toml")
    assert check_agent(config) == []
    assert (here / "base" / "hang.py").resolve() in [each.resolve() for each in read_device(config).files]
    written(here, f'{agent}driver = {{ file = "hang.py" }}\n', "agent.toml")
    assert f"file {here}/hang.py: there is none" in check_agent(config)[0]
    assert here / "hang.py" in read_device(config).files


def test_check_tells_every_fault_with_file_key_and_fix(here: Path) -> None:
    bad = written(
        here,
        GOOD + "[readings.t]\ntype = 'float'\nunit = 'C'\n[readings.u]\ntype = 'int'\nevry = 5\n",
        "bad.toml",
    )
    result = run("check", written(here, GOOD), bad)
    assert result.exit_code == Exit.USAGE
    assert result.stdout == f"{here}/x.toml: good: x 1.0.0, 0 channels, 0 commands\n"
    assert result.stderr.splitlines() == [
        f"{bad}: readings.t.unit: unit C: did you mean Cel? C is the coulomb; write a charge in Ah",
        f"{bad}: unknown key evry in readings.u: did you mean every?",
    ]


@pytest.mark.parametrize(
    ("kind", "meant"),
    [("gpoi", "gpio"), ("modbs", "modbus"), ("simulatd", "simulated"), ("I2C", "i2c"), ("bacnet", "")],
)
def test_a_mistyped_driver_is_a_fault_and_one_of_elsewhere_a_note(here: Path, kind: str, meant: str) -> None:
    file = written(here, GOOD.replace('"simulated"', f'"{kind}"'))
    result = run("check", file)
    if meant:
        assert result.exit_code == Exit.USAGE
        assert result.stderr == f"{file}: driver.kind: no driver is called '{kind}': did you mean {meant}?\n"
    else:
        assert result.exit_code == 0
        assert f"'{kind}' is not installed here" in result.stderr


def test_check_tells_more_than_five_faults(here: Path) -> None:
    file = written(here, GOOD + "".join(f"k{number} = 1\n" for number in range(9)))
    assert len(run("check", file).stderr.splitlines()) == 9


def test_check_for_scripts(here: Path) -> None:
    bad = written(here, "schema = ", "bad.toml")
    result = run("check", bad, written(here, GOOD), "--json")
    assert result.exit_code == Exit.USAGE
    first, second = json.loads(result.stdout)
    assert (first["file"], first["ok"], second["ok"]) == (str(bad), False, True)
    assert first["faults"][0].startswith(f"{bad}: not TOML: ")
    assert second == {"file": f"{here}/x.toml", "ok": True, "faults": [], "notes": []}


def test_check_names_the_file_that_is_at_fault(here: Path) -> None:
    parent = written(here, GOOD + "colour = 1", "parent.toml")
    file = written(here, GOOD + 'extends = "parent.toml"\n')
    assert run("check", file).stderr.startswith(f"{parent}: unknown key colour")


def test_check_asks_the_driver(here: Path) -> None:
    wrong = run("check", written(here, GOOD.replace('"simulated"', '"simulated", sead = 5')))
    assert wrong.exit_code == Exit.USAGE
    assert "x.toml: driver simulated: unknown key sead in driver" in wrong.stderr


def test_what_each_device_gives_is_no_fault_of_the_kind(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def asks_for_a_port(*_arguments: object, **_more: object) -> None:
        from iotxmpp.account import Account
        from iotxmpp.agent.drivers import check_settings

        check_settings(Account, {}, "odd")

    monkeypatch.setattr("iotxmpp.cli.profile_check.create_driver", asks_for_a_port)
    assert "good: x 1.0.0" in good("check", written(here, GOOD))


METER = """
schema = 1
id = "x"
version = "1.0.0"
title = "X"
description = "A meter."
driver = { kind = "modbus", baud = 2400 }
[readings.power]
type = "float"
unit = "W"
source = { register = 12, datatype = "float32" }
"""


def test_where_a_device_is_connected_is_no_fault_of_the_kind_but_the_rest_is(here: Path) -> None:
    assert "good: x 1.0.0" in good("check", written(here, METER))
    wrong = run("check", written(here, METER.replace("register = 12", "registre = 12")))
    assert wrong.exit_code == Exit.USAGE
    assert "unknown key registre in readings.power.source" in wrong.stderr
    wrong = run("check", written(here, METER.replace("2400", "24")))
    assert wrong.exit_code == Exit.USAGE
    assert "driver.baud: Input should be from 300" in wrong.stderr


def test_a_driver_that_cannot_be_simulated_is_checked_too(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from iotxmpp.agent.drivers import check_settings

    class Settings(BaseModel):
        model_config = ConfigDict(extra="forbid")
        depth: int = 1

    def strict(_profile: Profile, settings: dict[str, object]) -> None:
        check_settings(Settings, {"depth": 2, **settings}, "odd")
        raise ConfigError("driver odd: no reading 'open'")

    monkeypatch.setattr("iotxmpp.cli.profile_check.create_driver", strict)
    wrong = run("check", written(here, GOOD))
    assert wrong.exit_code == Exit.USAGE
    assert "driver odd: no reading 'open'" in wrong.stderr


def test_the_shipped_profiles_are_good() -> None:
    folder = Path(device_profiles.__file__).parent
    result = run("check", *sorted(folder.glob("*.toml")))
    assert result.exit_code == 0, result.output
    assert result.stdout.count(": good: ") == len(device_profiles.names())


# New.


@pytest.mark.parametrize("kind", starters.KINDS)
def test_a_new_profile_passes_the_check_and_can_be_simulated(here: Path, kind: str) -> None:
    good("new", "my-thing", "--driver", kind)
    file = here / "my-thing.toml"
    assert run("check", file).exit_code == 0, run("check", file).output
    profile = device_profiles.load_file(file)
    assert (profile.id, profile.driver.kind) == ("my-thing", kind)
    assert profile.channels()
    create_driver(profile, {}, kind="simulated")
    assert "#:schema file://" in file.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", device_profiles.names())
def test_a_new_profile_can_stand_on_any_other(here: Path, name: str) -> None:
    text = good("new", "mine", "--extends", name, "--output", "-")
    file = written(here, text)
    assert device_profiles.load_file(file).channels() == device_profiles.load(name).channels()
    wanted = "\n".join(
        line.removeprefix("# ") for line in text.splitlines() if line.startswith(("# [", "# every"))
    )
    changed = device_profiles.load_file(written(here, f"{text}\n{wanted}\n"))
    assert {kind.every for kind in changed.readings.values()} == {60}


def test_a_new_profile_can_stand_on_a_file_beside_it(here: Path) -> None:
    (here / "kinds").mkdir()
    written(here / "kinds", GOOD, 'a "b".toml')
    good("new", "mine", "--extends", 'a "b".toml', "-o", here / "kinds" / "mine.toml")
    assert device_profiles.load_file(here / "kinds" / "mine.toml").extends == 'a "b".toml'


def test_a_file_is_not_overwritten_unless_forced(here: Path) -> None:
    file = written(here, "mine", "my-thing.toml")
    assert f"{file.name}: it is there; choose another --output, or give --force" in refused("new", "my-thing")
    assert file.read_text(encoding="utf-8") == "mine"
    good("new", "my-thing", "--force")
    assert device_profiles.load_file(file).id == "my-thing"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("My Thing",), "id: 'My Thing': use a-z, 0-9 and -"),
        (("x", "--driver", "gpoi"), "--driver: no driver 'gpoi': did you mean gpio?"),
        (("x", "--extends", "bme208"), "did you mean bme280?"),
        (("x", "--extends", "none.toml"), "none.toml: cannot be read"),
        (("x", "--extends", "bme280", "--driver", "gpio"), "--extends and --driver: give one of the two"),
        (("x", "-o", "nowhere/x.toml"), "nowhere/x.toml: cannot be written"),
    ],
)
def test_what_cannot_be_written_is_told(here: Path, arguments: tuple[str, ...], words: str) -> None:
    assert words in refused("new", *arguments)
    assert list(here.iterdir()) == []


# The schemas and the table.


def test_the_schemas_are_printed() -> None:
    assert json.loads(good("schema")) == profile_schema()
    assert json.loads(good("schema", "--agent")) == agent_schema()


def test_the_table_is_put_between_its_markers(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(here, f"before\n{START}\nold\n{END}\nafter\n", "page.md")
    main(["--write", str(file)])
    assert file.read_text(encoding="utf-8") == f"before\n{START}\n\n{table()}\n\n{END}\nafter\n"
    main([])
    assert capsys.readouterr().out == f"{table()}\n"
    assert len(table().splitlines()) == 2 + len(device_profiles.names())
    for text in ("", START, END, f"{END}{START}"):
        with pytest.raises(ConfigError, match=r"page\.md: a marker is missing"):
            with_table(text, "page.md")
