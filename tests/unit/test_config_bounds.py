"""Files that are longer, or hold greater numbers, than anybody needs: refused by file, key and fix."""

import contextlib
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from iotxmpp.agent.config import MOST_BYTES, load_agent, read_agent_file
from iotxmpp.cli.app import app
from iotxmpp.errors import ConfigError
from iotxmpp.profiles import profile_of
from iotxmpp.tables import TableError, parse_table

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
MOST_SECONDS = 0.1
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
    with pytest.raises(ConfigError, match=r"readings\.t\.count: Input should be from 1 to 1000"):
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
    assert min(spent(load) for _ in range(3)) < MOST_SECONDS
    tracemalloc.start()
    load()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < MOST_MEMORY


def spent(work: Callable[[], None]) -> float:
    """Seconds of this process alone, so that a busy machine is no fault."""
    start = time.process_time()
    work()
    return time.process_time() - start


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
