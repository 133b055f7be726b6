"""Files that are longer, or hold greater numbers, than anybody needs: refused by file, key and fix."""

import contextlib
import tracemalloc
from pathlib import Path

import pytest
from typer.testing import CliRunner

from iotxmpp.agent.config import MOST_BYTES, check_agent, load_agent, read_agent_file
from iotxmpp.cli.app import app
from iotxmpp.cli.profile_check import checked
from iotxmpp.errors import ConfigError
from iotxmpp.profiles import parse_profile, profile_of
from iotxmpp.tables import TableError, parse_table
from tests.effort import SOON, seconds_of

HEAD = 'account = "hall.account.toml"\nprofile = "bme280"\n'
PROFILE = """schema = 1
id = "x"
version = "1.0.0"
driver = { kind = "simulated" }
[readings.t]
type = "float"
"""
HUGE = f"0x{'f' * 20_000}"
FIX = "a whole number that does not fit into 64 bits; give a smaller one"
MOST_MEMORY = 50e6


@pytest.fixture
def config(tmp_path: Path) -> Path:
    account = tmp_path / "hall.account.toml"
    account.write_text('jid = "hall@example.org"\npassword = "secret"\n')
    account.chmod(0o600)
    return tmp_path / "agent.toml"


@pytest.mark.parametrize("number", [HUGE, f"0o{'7' * 20_000}", f"0b{'1' * 20_000}", "9223372036854775808"])
def test_a_number_beyond_64_bits_is_told_by_file_and_key(number: str) -> None:
    text = f"a.b = 1\nc = [0, {{ d = {number} }}]\ne = {number}"
    with pytest.raises(TableError) as caught:
        parse_table(text, "x.toml", most=1 << 20)
    assert sorted(caught.value.faults) == [f"c[1].d: {FIX}", f"e: {FIX}"]


def test_numbers_of_64_bits_are_numbers() -> None:
    table = {"most": 2**63 - 1, "least": -(2**63), "is": True}
    assert parse_table(f"most = {2**63 - 1}\nleast = {-(2**63)}\nis = true", "x.toml") == table


def test_a_table_of_great_numbers_tells_a_hundred() -> None:
    with pytest.raises(TableError) as caught:
        parse_table(f"a = [{','.join(['0xffffffffffffffff'] * 1000)}]", "x.toml")
    assert caught.value.count == 100


def test_a_number_that_cannot_be_shown_is_refused_by_a_model_too() -> None:
    table = {"schema": 1, "id": "x", "version": "1.0.0", "driver": {"kind": "simulated"}}
    with pytest.raises(ConfigError, match=r"readings\.t\.count: Input should be from 1 to 500"):
        profile_of({**table, "readings": {"t": {"type": "float", "count": 1 << 70_000}}}, "x.toml")


@pytest.mark.parametrize(
    "words",
    [
        ("profile", "check", "p.toml"),
        ("profile", "show", "p.toml"),
        ("profile", "show", "p.toml", "--json"),
        ("simulate", "--profile", "p.toml", "--print"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("line", [f"count = {HUGE}", f"every = {HUGE}", f"source = {{ pin = {HUGE} }}"])
def test_no_command_ends_by_a_profiles_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("p.toml").write_text(f"{PROFILE}{line}\n")
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code != 0
    said = f"{done.output}{done.exception}"
    assert f"p.toml: readings.t.{line.split(' =', maxsplit=1)[0]}" in said
    assert FIX in said


def test_an_agents_number_is_its_own_files_fault(config: Path) -> None:
    config.write_text(f"{HEAD}[driver]\naddress = {HUGE}\n")
    with pytest.raises(ConfigError, match=r"agent file .*agent\.toml: driver\.address: a whole number"):
        load_agent(config)


def filled(pattern: str) -> str:
    """Lines of one pattern, of which a file has as many as it may."""
    lines: list[str] = []
    left = MOST_BYTES - len(HEAD) - 20
    while (left := left - len(line := pattern.replace("%", str(len(lines))))) >= 0:
        lines.append(line)
    return "".join(lines)


LONG = [
    filled("k% = 1\n"),
    "[driver]\n" + filled("k%=1\n"),
    "[rename]\n" + filled("k% = 'a'\n"),
    "[calibration]\n" + filled("k%.offset = 1\n"),
    "[access]\n" + filled("k% = 1\n"),
    f"tags = [{filled(chr(34) + '%' + chr(34) + ',')}]",
    f"tags = [{filled('1,')}]",
    f"people = [{filled(chr(34) + '%' + chr(34) + ',')}]",
    "outbox = { " + filled("k%=1,").rstrip(",") + " }",
]


@pytest.mark.parametrize("more", LONG, ids=lambda text: text[:12].strip())
def test_the_longest_files_are_read_in_a_moment(config: Path, more: str) -> None:
    config.write_text(HEAD + more)

    def load() -> None:
        with contextlib.suppress(ConfigError):
            load_agent(config)

    load()  # what it imports is not of the file
    assert seconds_of(load) < SOON
    tracemalloc.start()
    load()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < MOST_MEMORY


KIND = 'schema = 1\nid = "x"\nversion = "1.0.0"\n'
ALL = "[readings.r]\ntype = 'float'\ncount = 500\n"
COMMANDS = "".join(
    f"[commands.c{n}]\neffect = {{ set = 'r/1', value = 1.0 }}\n"
    + "".join(f"args.a{m} = {{ type = 'int' }}\n" for m in range(2))
    for n in range(100)
)
CALIBRATED = "[calibration]\n" + "".join(f"'r/{n}' = {{ offset = 1 }}\n" for n in range(1, 501))
MODBUS = "driver = { kind = 'modbus', host = '192.0.2.7' }\n"
I2C = "driver = { kind = 'i2c', chip = 'bme280' }\n"
GPIO = "driver = { kind = 'gpio' }\n"
LED = "[readings.l]\ntype = 'float'\nsource = { device = 'PWMLED', pin = 2 }\n"


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        (f"{MODBUS}{ALL}[readings.r.source]\nregister = 1\n{COMMANDS}", CALIBRATED),
        (
            f"{I2C}{ALL}[readings.r.source]\nvalue = 'temperature'\n",
            CALIBRATED,
        ),
        (
            f"{GPIO}{ALL.replace('500', '499')}"
            f"[readings.r.source]\ndevice = 'MCP3008'\nchannel = 0\n{LED}" + COMMANDS.replace("'r/1'", "'l'"),
            CALIBRATED.replace("'r/500' = { offset = 1 }\n", ""),
        ),
        (f"driver = {{ kind = 'simulated' }}\n{ALL}{COMMANDS}", CALIBRATED),
    ],
    ids=["modbus", "i2c", "gpio", "simulated"],
)
def test_the_greatest_kinds_are_checked_in_a_moment(config: Path, kind: str, more: str) -> None:
    file = config.with_name("x.toml")
    file.write_text(KIND + kind)
    config.write_text(f'account = "hall.account.toml"\nprofile = "x.toml"\n{more}')
    assert check_agent(config) == []
    assert checked(file).faults == ()
    assert seconds_of(lambda: check_agent(config)) < SOON
    assert seconds_of(lambda: checked(file)) < SOON


@pytest.mark.parametrize(
    "pins", ["a% = 99\n", "a% = [99]\n", "p = [" + "99," * 6000 + "]"], ids=["one", "lists", "list"]
)
def test_a_driver_has_few_settings(config: Path, pins: str) -> None:
    more = "".join(pins.replace("%", str(n)) for n in range(3000)) if "%" in pins else pins
    config.write_text(f'account = "hall.account.toml"\nprofile = "relay4"\n[driver.pins]\n{more}')
    told = check_agent(config)
    assert told[0].endswith("driver gpio: driver: more than 2000 values; give fewer")
    assert seconds_of(lambda: check_agent(config)) < SOON


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("".join(f"[commands.c{n}]\n" for n in range(101)), "commands: more than 100"),
        (
            "[commands.c]\n" + "".join(f"args.a{n}.type = 'int'\n" for n in range(251)),
            "commands: more than 250 arguments, of all commands together",
        ),
    ],
)
def test_a_kind_has_few_commands(more: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_profile(PROFILE + more, "x.toml")


DEEP = "a." * 20


@pytest.mark.parametrize(
    "text",
    [
        f's = "{DEEP}"',
        f"s = '{DEEP}'",
        f's = """\n{DEEP}\n"""',
        f"s = '''\n{DEEP}\n'''",
        f's = """x"""" # {DEEP}',
        f's = ["""x""""", "{DEEP}"]',
        f's = "\\"{DEEP}"',
        f"# {DEEP}",
        f's = 1 # "{DEEP}',
    ],
)
def test_text_is_no_deep_key(text: str) -> None:
    assert parse_table(f"{text}\n", "x.toml").keys() <= {"s"}


@pytest.mark.parametrize(
    "text",
    [
        f"x = 1\n{DEEP}a = 1",
        f's = "#"\n{DEEP}a = 1',
        f's = """x""""\n{DEEP}a = 1',
        "s = '''x'''''\n" + '"a" . ' * 20 + "a = 1",
        's = """\n""" # "\n' + '"\\"".' * 20 + "a = 1",
        "s = ''\n" + "''." * 20 + "a = 1",
        f's = {{ t = """x"""", {DEEP}a = "" }}',
        f"s = 1 # '''\n[{DEEP}a]",
    ],
)
def test_a_deep_key_is_told_wherever_it_stands(text: str) -> None:
    with pytest.raises(TableError, match=r"line \d+: a key of more than 16 parts; shorten it"):
        parse_table(text, "x.toml")


@pytest.mark.parametrize(
    "text",
    [
        '"""\\' * 16_000,
        '\\"""\n' * 12_000,
        "'''\n''" * 10_000,
        '"a".' * 15 + "\n",
        '"' + '\\"' * 30_000,
        ('"a".' * 15 + "\n") * 1000,
        ("'" + "b" * 60 + "'.") * 900,
        "a." * 15 + "\n" + "'" * 60_000,
    ],
    ids=range(8),
)
def test_looking_for_deep_keys_is_quick(text: str) -> None:
    def read() -> None:
        with contextlib.suppress(TableError):
            parse_table(text, "x.toml", most=MOST_BYTES)

    read()
    assert seconds_of(read) < SOON


def test_many_values_are_no_settings(config: Path) -> None:
    config.write_text(f"{HEAD}tags = [{'1,' * 10_001}]")
    with pytest.raises(ConfigError, match=r"agent\.toml: more than 10000 values; give fewer"):
        read_agent_file(config)


def test_a_drivers_faults_are_five_lines_and_a_number(config: Path) -> None:
    config.write_text(HEAD + "[driver]\n" + "".join(f"k{n} = 1\n" for n in range(20)))
    with pytest.raises(ConfigError, match=r"unknown key k4 .*; and 15 more$"):
        load_agent(config)


def test_a_longer_file_is_refused(config: Path) -> None:
    config.write_text(HEAD + "#" * MOST_BYTES)
    with pytest.raises(ConfigError, match="longer than 65536 bytes; give a shorter file"):
        read_agent_file(config)
