"""The language that chooses devices: what it means, what it refuses, and how it says so."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotxmpp.about import About, Channel
from iotxmpp.addresses import device_id
from iotxmpp.controller.device import Device
from iotxmpp.controller.selection import facts_of, select
from iotxmpp.link import Presence
from iotxmpp.memory import MemoryServer
from iotxmpp.readings import Reading, Value
from iotxmpp.where import DEEPEST, FIELDS, LONGEST, WhereError, parse_where
from tests.effort import SOON, seconds_of
from tests.unit.controller_world import account
from tests.unit.documents import TEXTS, blocks, rows, section


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of a device in these tests."""

    id: str = "relay-7"
    profile: str = "relay4 2"
    site: str = "north hall"
    tags: tuple[str, ...] | None = ("spare", "roof/west")
    presence: str = "online"
    version: str = "1.10.2"
    readings: Mapping[str, Value] = field(
        default_factory=lambda: {
            "temperature": 21.5,
            "count": 3,
            "door/front": True,
            "note": "all well",
            "zero": 0,
        }
    )


KNOWN = Known()
NOTHING = Known(profile="", site="", tags=None, presence="unknown", version="", readings={})


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("id=relay-7", True),
        ("id=relay-8", False),
        ("id != relay-8", True),
        ("id~relay-*", True),
        ("id~relay-?", True),
        ("id~relay-??", False),
        ("id~[r]elay-7", False),
        ("id~*", True),
        ("id~RELAY*", False),
        ("profile=relay4", True),
        ('profile="relay4 2"', True),
        ('profile="relay4 1"', False),
        ("profile!=relay4", False),
        ("profile!=bme280", True),
        ("profile~relay?", True),
        ('profile~"* 2"', True),
        ('site="north hall"', True),
        ("site='north hall'", True),
        ("site=north", False),
        ("site~north*", True),
        ("tag=spare", True),
        ("tag=roof/west", True),
        ("tag=roof", False),
        ("tag~roof/*", True),
        ("tag!=spare", False),
        ("tag!=cellar", True),
        ("presence=online", True),
        ("presence!=online", False),
        ("presence~o?line", True),
        ("version=1.10.2", True),
        ("version=v1.10.2", True),
        ("version=1.10", False),
        ("version!=1.10", True),
        ("version>1.9", True),
        ("version>=1.10.2", True),
        ("version<1.10.2", False),
        ("version<2", True),
        ("version<=1.10.2.0", True),
        ("version>1.10.2rc1", True),
        ("version<1.10.2+3", True),
        ("version~1.1*", True),
        ("reading.temperature=21.5", True),
        ("reading.temperature=2.15e1", True),
        ("reading.temperature!=21.5", False),
        ("reading.temperature>21", True),
        ("reading.temperature>21.5", False),
        ("reading.temperature>=21.5", True),
        ("reading.temperature<-3", False),
        ("reading.temperature<22", True),
        ("reading.temperature<=.5", False),
        ("reading.temperature=warm", False),
        ("reading.temperature!=warm", False),
        ("reading.temperature~2*", False),
        ("reading.count=3", True),
        ("reading.count=3.0", True),
        ("reading.count=true", False),
        ("reading.count<99999999999999999999", True),
        ("reading.zero=false", False),
        ("reading.door/front=true", True),
        ("reading.door/front=ON", True),
        ("reading.door/front=off", False),
        ("reading.door/front!=off", True),
        ("reading.door/front=1", False),
        ("reading.door/front>0", False),
        ("reading.door/front=open", False),
        ("reading.door/front!=open", False),
        ('reading.note="all well"', True),
        ("reading.note~all*", True),
        ("reading.note!=well", True),
        ("reading.note<3", False),
        ("reading.missing=1", False),
        ("reading.missing!=1", False),
        ("not reading.missing!=1", True),
    ],
)
def test_a_comparison(text: str, holds: bool) -> None:
    assert parse_where(text).matches(KNOWN) is holds


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("id=a or id=relay-7 and site=x", False),
        ("id=relay-7 or id=a and site=x", True),
        ("(id=relay-7 or id=a) and site=x", False),
        ("not id=a and not id=b", True),
        ("not (id=a or id=relay-7)", False),
        ("not not id=relay-7", True),
        ("NOT id=a AND profile=relay4 Or id=b", True),
        ("id=a or id=b or id=relay-7", True),
        ("id=relay-7 and profile=relay4 and site=x", False),
        ("  id  =\trelay-7\nand(profile=relay4)", True),
        ('site="and" or id=relay-7', True),
    ],
)
def test_words_between_comparisons(text: str, holds: bool) -> None:
    assert parse_where(text).matches(KNOWN) is holds


@pytest.mark.parametrize("name", [name for name in FIELDS if name not in {"id", "presence"}])
def test_what_is_not_known_compares_as_false(name: str) -> None:
    for text in (f"{name}=1", f"{name}!=1", f"{name}~*"):
        assert not parse_where(text).matches(NOTHING)
        assert parse_where(f"not {text}").matches(NOTHING)


def test_a_device_without_tags_has_other_tags_than_any() -> None:
    bare = replace(KNOWN, tags=())
    assert parse_where("tag!=spare").matches(bare)
    assert not parse_where("tag~*").matches(bare)


@pytest.mark.parametrize("version", ["", "unknown", "9" * 5000, "1.2 beta", "1..2", "-1"])
def test_a_device_of_no_version_that_can_be_read(version: str) -> None:
    device = replace(KNOWN, version=version)
    assert not any(parse_where(f"version{sign}1").matches(device) for sign in ("=", "!=", "<", ">"))


def test_versions_in_their_order() -> None:
    ordered = ["0.9", "0.10", "1.0a1", "1.0a2", "1.0a10", "1.0rc1", "1", "1.0.post1", "1.0.1", "2.0.0"]
    for place, version in enumerate(ordered):
        device = replace(KNOWN, version=version)
        for other, wanted in enumerate(ordered):
            assert parse_where(f"version<{wanted}").matches(device) is (place < other), (version, wanted)
            assert parse_where(f"version>={wanted}").matches(device) is (place >= other), (version, wanted)
            assert parse_where(f"version={wanted}").matches(device) is (place == other), (version, wanted)


def test_the_channels_that_it_asks_for_are_named() -> None:
    assert parse_where("reading.a>1 or not (reading.b/2=on and site=x)").channels == {"a", "b/2"}
    assert parse_where("site=reading.a").channels == frozenset()


# What is refused.


@pytest.mark.parametrize(
    ("text", "at", "says"),
    [
        ("", 0, "expected a field, such as id, profile, site, tag, presence, version or reading.<channel>"),
        ("   ", 0, "found the end"),
        ("site", 4, "expected one of = != < <= > >= ~ after site, found the end"),
        ("site=", 5, "expected a value after =, found the end"),
        ("sit=north", 0, "no field 'sit'; did you mean site?"),
        ("Site=north", 0, "did you mean site?"),
        ("colour=red", 0, "no field 'colour'; there are id, profile"),
        ("readings.a=1", 0, "did you mean reading.<channel>?"),
        ("reading.=1", 0, "name ''"),
        ("reading.größe=1", 0, "use A-Z"),
        ("site==north", 4, "write ="),
        ("site=~north", 4, "write ~"),
        ("site<>north", 4, "write !="),
        ("site=>north", 4, "write >="),
        ("site!north", 4, "expected one of"),
        ("site north", 5, "expected one of = != < <= > >= ~ after site, found 'north'"),
        ("site=north hall", 11, "quote a value that holds spaces"),
        ("site=north tag=x", 11, "expected 'and', 'or' or the end, found 'tag'"),
        ("site=a && tag=b", 7, "write 'and'"),
        ("site=a || tag=b", 7, "write 'or'"),
        ("(site=a, tag=b)", 9, "found 'tag'"),
        ("!site=a", 0, "write 'not'"),
        ("site=a and", 10, "expected a field"),
        ("and site=a", 0, "expected a field"),
        ("site=and", 5, 'quote it if it is meant: "and"'),
        ("(site=a", 7, "expected 'and', 'or' or ')' for the parenthesis of position 1"),
        ("(site=a and (tag=b)", 19, "position 1"),
        ("site=a)", 6, "found ')'"),
        ("()", 1, "expected a field"),
        ('site="north', 5, 'a quotation mark " without its end'),
        ("site='north", 5, "a quotation mark ' without its end"),
        ('site=no"rth', 7, "a quotation mark"),
        ('"site"=north', 0, "expected a field"),
        ("id<3", 2, "id is text, and has no order; use = != or ~"),
        ("tag>=a", 3, "tag is text"),
        ("presence=onlin", 9, "no presence 'onlin'; did you mean online?"),
        ("presence=purple", 9, "there are online, stale, lost"),
        ("version=new", 8, "version: expected numbers with dots, such as 1.4 or 2.0.1, found 'new'"),
        ("reading.a<hot", 10, "< compares numbers; 'hot' is none"),
        ("reading.a>nan", 10, "'nan' is none"),
        ("reading.a>1e999", 10, "is none"),
    ],
)
def test_what_does_not_parse_has_a_caret_under_the_place(text: str, at: int, says: str) -> None:
    with pytest.raises(WhereError) as refused:
        parse_where(text)
    assert says in str(refused.value)
    assert refused.value.at == at
    assert refused.value.own_lines
    _, shown, caret = str(refused.value).split("\n")
    assert shown == f"  {text}"
    assert caret == f"  {' ' * at}^"


@pytest.mark.parametrize(
    ("text", "shown", "column"),
    [
        ("site=\x1b[31m and and", r"site=\x1b[31m and and", 18),
        ("site=a\nand and", r"site=a\nand and", 12),
        ("site=日本 x=1", "site=日本 x=1", 10),
        ("site=e\u0301 x=1", "site=e\u0301 x=1", 7),
    ],
)
def test_the_caret_stands_right_whatever_the_letters(text: str, shown: str, column: int) -> None:
    with pytest.raises(WhereError) as refused:
        parse_where(text)
    assert str(refused.value).split("\n")[1:] == [f"  {shown}", f"  {' ' * column}^"]


def test_a_long_expression_is_shown_around_the_place() -> None:
    text = " or ".join(f"id=device-{number}" for number in range(100)) + " or colour=1 or " + "id=a or " * 50
    with pytest.raises(WhereError, match="no field 'colour'") as refused:
        parse_where(text)
    _, shown, caret = str(refused.value).split("\n")
    assert len(shown) < 130
    assert shown[caret.index("^") :].startswith("colour")
    assert shown.startswith("  …")
    assert shown.endswith("…")


def test_length_and_depth_are_bounded() -> None:
    fits = "id=a or " * ((LONGEST - 4) // 8) + "id=a"
    assert len(fits) <= LONGEST
    assert not parse_where(fits).matches(KNOWN)
    with pytest.raises(WhereError, match=f"at most {LONGEST} are read"):
        parse_where(f"id={'a' * LONGEST}")
    assert parse_where("(" * DEEPEST + "id=relay-7" + ")" * DEEPEST).matches(KNOWN)
    assert parse_where("not " * DEEPEST + "id=relay-7").matches(KNOWN)
    for deep in ("(", "not ", "not("):
        with pytest.raises(WhereError, match=f"nested deeper than {DEEPEST} levels"):
            parse_where(deep * (DEEPEST + 1) + "id=a")


def test_a_glob_of_many_stars_takes_no_time() -> None:
    where = parse_where(f"reading.note~{'a*' * 2000}b")
    known = replace(KNOWN, readings={"note": "a" * 60_000})
    assert not where.matches(known)
    assert seconds_of(lambda: where.matches(known)) < SOON


# Properties.

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@given(TEXT)
def test_any_text_can_be_quoted(text: str) -> None:
    assert parse_where(f"site={quoted(text)}").matches(replace(KNOWN, site=text))
    assert not parse_where(f"site={quoted(text)}").matches(replace(KNOWN, site=f"{text}x"))
    assert parse_where(f"not site!={quoted(text)}").matches(replace(KNOWN, site=text))


@given(st.text(max_size=60))
def test_any_text_parses_or_is_refused(text: str) -> None:
    refused: WhereError | None = None
    try:
        assert isinstance(parse_where(text).matches(KNOWN), bool)
    except WhereError as error:
        refused = error
    if refused is not None:
        assert 0 <= refused.at <= len(text)
        assert len(str(refused).split("\n")) == 3


PARTS = st.sampled_from(
    ["id=relay-7", "id=a", "(", ")", "and", "or", "not", "~", '"', "tag=", "reading.count>2"]
)


@given(st.lists(PARTS, max_size=12))
def test_any_words_parse_or_are_refused(words: list[str]) -> None:
    test_any_text_parses_or_is_refused.hypothesis.inner_test(" ".join(words))  # type: ignore[attr-defined]  # hypothesis sets it


@given(st.recursive(st.booleans(), lambda inner: st.lists(inner, min_size=1, max_size=3), max_leaves=12))
def test_and_or_and_not_are_pythons(tree: object) -> None:
    def shown(part: object, word: str) -> tuple[str, bool]:
        if isinstance(part, bool):
            return (f"id{'=' if part else '!='}relay-7"), part
        assert isinstance(part, list)
        texts, values = zip(*(shown(each, "or" if word == "and" else "and") for each in part), strict=True)
        value = all(values) if word == "and" else any(values)
        return f"not ({f' {word} '.join(texts)})", not value

    text, value = shown(tree, "and")
    assert parse_where(text).matches(KNOWN) is value


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_compare_as_numbers(known: float, wanted: float) -> None:
    device = replace(KNOWN, readings={"x": known})
    assert parse_where(f"reading.x<{wanted!r}").matches(device) is (known < wanted)
    assert parse_where(f"reading.x={wanted!r}").matches(device) is (known == wanted)


# A controller's devices.


async def test_the_facts_are_those_of_a_controllers_device() -> None:
    server = MemoryServer()
    await server.create_account("house@localhost", "secret")
    async with server.link(account("house@localhost")) as link:
        one, other = [
            Device(device_id(name), f"{name}@localhost", link=link) for name in ("relay-1", "relay-2")
        ]
        assert facts_of(one) == facts_of(one)
        assert (facts_of(one).tags, facts_of(one).presence) == (None, "unknown")
        channels = {"door": Channel(type="bool")}
        about = About(device="relay-1", profile="relay4 1", site="north", version="1.2", channels=channels)
        one.describe(about.model_copy(update={"tags": ("spare",)}))
        one.hear([Reading(channel="door", value=True, time=1.0)])
        one.sessions.see(Presence(sender="relay-1@localhost/a"), None)
        one.saw_presence(Presence(sender="relay-1@localhost/a"))
        for text in (
            "profile=relay4 and site=north and tag=spare and version=1.2",
            "reading.door=on and presence=online",
            "not presence=unknown",
        ):
            assert select([other, one], parse_where(text)) == [one]
        assert select([other, one], parse_where("id~relay-*")) == [one, other]


# The document.


def test_every_expression_of_the_document_parses() -> None:
    found = [block for block in blocks("") if block.file == "docs/where.md" and block.marker == "where"]
    assert found
    for block in found:
        for line in block.text.splitlines():
            parse_where(line)


def test_the_document_lists_every_field() -> None:
    stated = [row[0] for row in rows(section(TEXTS["docs/where.md"], "## Fields"))]
    assert stated == [*FIELDS, "reading.<channel>"]
