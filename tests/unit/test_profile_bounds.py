"""What a profile or an agent's file may hold of sources, texts, people and names, told in a moment."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from iotxmpp.addresses import bare_jid, is_host_name
from iotxmpp.agent.config import check_agent, read_agent_file
from iotxmpp.errors import ConfigError, InvalidError
from iotxmpp.faulttexts import guess
from iotxmpp.profiles import parse_profile
from iotxmpp.tables import TableError
from iotxmpp.xmltext import printable
from tests.effort import SOON, seconds_of

HEAD = 'schema = 1\nid = "x"\nversion = "1.0.0"\ndriver = { kind = "simulated" }\n'
MANY = '[readings.r]\ntype = "float"\ncount = 500\n'
AGENT = 'account = "hall.account.toml"\nprofile = "bme280"\n'


def spent(work: Callable[[], object]) -> float:
    def suppressed() -> None:
        with contextlib.suppress(ConfigError):
            work()

    return seconds_of(suppressed)


def table(count: int) -> str:
    return "{ " + ", ".join(f"a{n} = {n}" for n in range(count)) + " }"


@pytest.mark.parametrize("source", [table(65), table(2000), 'field = "' + "{n}" * 1334 + '"'], ids=len)
def test_a_source_holds_little_for_each_channel(source: str) -> None:
    source = source if source.startswith("{") else f"{{ {source} }}"
    said = "source: more than 64 values or 4000 characters; give fewer"
    for text, where in ((f"{MANY}source = ", "readings.r"), ("[commands.c]\nsource = ", "commands.c")):
        with pytest.raises(TableError) as caught:
            parse_profile(HEAD + text + source, "x.toml")
        assert caught.value.faults == (f"{where}: {said}",)
    assert spent(lambda: parse_profile(f"{HEAD}{MANY}source = {source}", "x.toml")) < SOON


def test_each_channel_has_its_entry_of_a_list() -> None:
    pins = ", ".join(str(n) for n in range(500))
    fits = parse_profile(f"{HEAD}{MANY}source = {{ pin = [{pins}], more = {table(62)} }}", "x.toml")
    assert fits.sources()["r/500"]["pin"] == 499
    with pytest.raises(ConfigError, match=r"readings\.r: source: more than 64 values"):
        parse_profile(f"{HEAD}{MANY}source = {{ pin = [{pins}], more = {table(63)} }}", "x.toml")
    with pytest.raises(ConfigError, match=r"readings\.r: source: more than 64 values"):
        parse_profile(f'{HEAD}[readings.r]\ntype = "float"\nsource.pin = [{pins}]', "x.toml")


READING = '[readings.r]\ntype = "str"\n'


@pytest.mark.parametrize(
    ("more", "start"),
    [
        ('title = "%"\n', "title: text"),
        ('description = "%"\n', "description: text"),
        (f'{READING}quantity = "%"\n', "readings.r.quantity: text"),
        (f'{READING}simulate.value = "%"\n', "readings.r.simulate.value: text"),
        (f'{READING}source.field = "%"\n', "readings.r.source.field: text"),
        (f'{READING}source = {{ a = [{{ "%" = 1 }}] }}\n', "readings.r.source.a[0].%: its name"),
        ('[commands.c]\nsource.field = "%"\n', "commands.c.source.field: text"),
        ('[commands.c.effect]\nset = "r/{a}%"\n', "commands.c.effect.set: text"),
        ('[driver]\nkind = "%"\n', "driver.kind: text"),
        ('[driver]\nkind = "host"\ndisk = "%"\n', "driver.disk: text"),
    ],
)
@pytest.mark.parametrize("character", ["\\u0007", "\\u0000", "\\uFFFE"])
def test_no_text_of_a_kind_has_what_xml_cannot_carry(more: str, start: str, character: str) -> None:
    head = HEAD if "[driver]" not in more else HEAD.partition("driver")[0]
    with pytest.raises(TableError) as caught:
        parse_profile(head + more.replace("%", character), "x.toml")
    (fault,) = caught.value.faults
    shown = printable(character.encode().decode("unicode_escape"))
    assert fault.startswith(f"{start.replace('%', shown)}: character U+{character[2:]} at position ")


LONG = [f"a@{'ö.' * 100}ü{n}" for n in range(205)]
WIDE = [f"a@{'ö.' * 20}ü{n}" for n in range(900)]
DEAR = ["a@" + ".".join("é" * 50 + chr(0xAC00 + n * 4 + part) for part in range(4)) for n in range(100)]


@pytest.mark.parametrize("people", [LONG, WIDE, DEAR], ids=["long", "many", "dear"])
@pytest.mark.parametrize("key", ["people", "access"])
def test_domains_are_looked_at_in_a_moment(tmp_path: Path, people: list[str], key: str) -> None:
    file = tmp_path / "agent.toml"
    quoted = [f'"{each}"' for each in people]
    grants = "".join(f'{each} = "observer"\n' for each in quoted)
    file.write_text(AGENT + (f"[access]\n{grants}" if key == "access" else f"people = [{', '.join(quoted)}]"))
    check_agent(file)
    bare_jid.cache_clear()
    assert spent(lambda: check_agent(file)) < SOON


@pytest.mark.parametrize("key", ["people", "access"])
def test_there_are_a_hundred_people_at_most(tmp_path: Path, key: str) -> None:
    file = tmp_path / "agent.toml"
    for count in (100, 101):
        jids = [f'"a{n}@example.org"' for n in range(count)]
        grants = "".join(f'{each} = "observer"\n' for each in jids)
        file.write_text(
            AGENT + (f"[access]\n{grants}" if key == "access" else f"people = [{','.join(jids)}]")
        )
        if count == 100:
            assert len(getattr(read_agent_file(file), key)) == count
        else:
            with pytest.raises(ConfigError, match=rf"{key}: more than 100 entries; give fewer"):
                read_agent_file(file)


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("b\u00fccher.example.", True),
        ("a\u3002b", True),
        ("a\u3002\u3002b", False),
        (".".join(["\u00f6"] * 31), True),  # each xn--nda
        (".".join(["\u00f6"] * 32), False),
        (".".join(["a"] * 127), True),
        (".".join(["a"] * 127) + ".", True),
        (".".join(["a"] * 127) + "b", False),
    ],
)
def test_a_domain_has_253_characters_at_most(name: str, is_one: bool) -> None:
    assert is_host_name(name) == is_one
    if not is_one:
        with pytest.raises(InvalidError, match="in ASCII it has at most 253 characters; correct it"):
            bare_jid(f"hall@{name}")


def test_a_name_is_guessed_among_many_in_a_moment() -> None:
    names = [f"{'ab' * 28}{n:03d}" for n in range(499)]
    assert spent(lambda: guess("ba" * 31, names)) < SOON / 2
    assert guess("temperatur", [*names, "temperature"]) == ": did you mean temperature?"
    assert guess("pwoer", [*(f"p{n}r" for n in range(499)), "power"]) == ": did you mean power?"
    assert guess("ab" * 28 + "49", names).startswith(": did you mean ab")
