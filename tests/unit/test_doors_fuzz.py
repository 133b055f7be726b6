"""Whatever comes in, every door and reader refuses in its own words, and in no time."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal
from xml.etree.ElementTree import Element

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import Field

from iotxmpp.access import parse_access
from iotxmpp.commands import COMMAND_TAG, COMMANDS_NAMESPACE
from iotxmpp.commands.calls import CALL_NAMESPACE
from iotxmpp.errors import ArgumentsError, ConfigError, InvalidError, StanzaError, StoreError
from iotxmpp.link import Message, Request
from iotxmpp.payloads import JSON_TAG
from iotxmpp.serving.alarms import LONGEST_TEXT
from iotxmpp.serving.audit import AuditEntry, AuditLog
from iotxmpp.serving.auditchain import head_path
from iotxmpp.serving.auditcheck import entries, verify
from iotxmpp.serving.chat import LONGEST_MESSAGE
from iotxmpp.textargs import split_words
from iotxmpp.twin import DESIRED_TAG, parse_desired, parse_reported
from iotxmpp.where import LONGEST, WhereError, parse_where
from tests.effort import SOON, seconds_of
from tests.unit.serving_world import CONTROLLER, DESK, FRIEND, STRANGER, World, chat_of

FORM = "{jabber:x:data}"


def quickly(action: Any, *allowed: type[Exception]) -> None:  # noqa: ANN401  # any call without arguments
    """Does it; only those errors may come, each with a text, and none takes long."""

    def act() -> None:
        try:
            action()
        except allowed as error:
            assert str(error)  # noqa: PT017  # there is also no error

    assert seconds_of(act) < SOON


def switch(channel: Annotated[int, Field(ge=1, le=4)] = 1, mode: Literal["on", "off"] = "on") -> str:
    """Switches."""
    return f"{channel} {mode}"


def note(text: str, lines: list[str] | None = None) -> None:
    """Notes."""


# XML of our own names and of any, with attributes and texts that mean something and that mean nothing.

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
WORDS = st.sampled_from(
    [
        *("execute", "next", "prev", "complete", "cancel", "submit", "form", "result"),
        *("switch", "note", "channel", "mode", "text", "on", "1", "-1", "NaN", "1e999", "", "s", "{}"),
        *('{"channel": 1}', '{"text": "a"}', "[" * 900, "9" * 5000, "x" * 2000, "house@example.org"),
        *("2020-01-01T00:00:00Z", "2999-01-01", "0001-01-01T00:00+23:59"),
    ]
)
TAGS = st.sampled_from(
    [
        COMMAND_TAG,
        JSON_TAG,
        DESIRED_TAG,
        f"{{{CALL_NAMESPACE}}}call",
        f"{{{COMMANDS_NAMESPACE}}}actions",
        f"{FORM}x",
        f"{FORM}field",
        f"{FORM}value",
        "command",
        "{}x",
    ]
)
NAMES = st.sampled_from(
    [
        "node",
        "action",
        "sessionid",
        "id",
        "expires",
        "within",
        "by",
        "type",
        "var",
        "version",
        "base",
        "lineage",
        "x",
    ]
)
ATTRIBUTES = st.dictionaries(NAMES, WORDS | TEXT, max_size=5)


def element_of(tag: str, attributes: dict[str, str], text: str | None, inner: list[Element]) -> Element:
    element = Element(tag, attributes)
    element.text = text
    element.extend(inner)
    return element


TREES = st.recursive(
    st.builds(element_of, TAGS, ATTRIBUTES, st.none() | WORDS | TEXT, st.just([])),
    lambda inner: st.builds(
        element_of, TAGS, ATTRIBUTES, st.none() | WORDS | TEXT, st.lists(inner, max_size=4)
    ),
    max_leaves=12,
)
COMMANDS = st.builds(
    element_of,
    st.just(COMMAND_TAG),
    st.fixed_dictionaries(
        {"node": st.sampled_from(["switch", "note", "none"])}, optional={"action": WORDS, "sessionid": WORDS}
    ),
    st.none(),
    st.lists(TREES, max_size=2),
)
SENDERS = st.sampled_from([DESK, FRIEND, STRANGER, CONTROLLER, "example.org", "", "@/"])


@given(
    st.lists(st.tuples(SENDERS, st.sampled_from(["get", "set"]), COMMANDS | TREES), min_size=1, max_size=5)
)
def test_any_xml_is_answered(requests: list[tuple[str, Literal["get", "set"], Element]]) -> None:
    world = World(switch, note)

    async def ask(request: tuple[str, Literal["get", "set"], Element]) -> None:
        sender, kind, tree = request
        try:
            answer = await world.server.answer(Request(sender=sender, kind=kind, payload=tree))
            assert answer.tag == COMMAND_TAG
        except StanzaError as error:
            assert error.text  # noqa: PT017  # there is also no error

    for request in requests:
        assert seconds_of(partial(lambda each: asyncio.run(ask(each)), request)) < SOON


MESSAGES = st.builds(
    Message,
    sender=SENDERS,
    text=TEXT
    | st.lists(
        st.sampled_from(
            ["switch", "note", "help", "status", "channel=1", "mode=", "text='a", "=", '"', "\\", "\u2028"]
        )
        | TEXT,
        max_size=6,
    ).map(" ".join)
    | st.integers(1, 3900).map(lambda deep: f"note lines={'[' * deep}")
    | st.integers(1, 1900).map(lambda deep: f"note text={'[' * deep}{']' * deep}")
    | st.integers(1, 1900).map(lambda deep: f"switch channel={'[' * deep}{']' * deep}")
    | st.just("x" * 100_000),
    kind=st.sampled_from(["chat", "normal", "headline"]),
    id=TEXT,
    sent=st.none() | st.floats(-1e18, 1e18),
)


@given(st.lists(MESSAGES, min_size=1, max_size=4))
@settings(max_examples=150)
def test_any_message_is_answered_or_passed_over(messages: list[Message]) -> None:
    world = World(switch, note)
    door = chat_of(world)
    for message in messages:

        def take(message: Message = message) -> None:
            reply = asyncio.run(door.take(message))
            assert reply is None or 0 < len(reply) <= LONGEST_TEXT

        quickly(take)


@given(st.builds(element_of, st.just(DESIRED_TAG), ATTRIBUTES, st.none() | TEXT, st.lists(TREES, max_size=2)))
def test_any_desired_state_is_read_or_refused(tree: Element) -> None:
    quickly(lambda: parse_desired(tree), InvalidError)


JSON_TEXT = st.recursive(
    st.sampled_from(["null", "true", "1", "-0", "1e999", "9" * 5000, "NaN", '"a"', '"\\ud800"', "1" * 18])
    | TEXT.map(lambda text: f'"{text}"'),
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda all_of: f"[{','.join(all_of)}]")
        | st.lists(
            st.tuples(
                st.sampled_from(["form", "lineage", "desired", "version", "settings", "refused", "a"]), inner
            ),
            max_size=6,
        ).map(lambda pairs: f"{{{','.join(f'{chr(34)}{name}{chr(34)}:{value}' for name, value in pairs)}}}")
    ),
    max_leaves=12,
)


@given(JSON_TEXT | TEXT | st.integers(1, 100_000).map(lambda deep: '{"a":' * deep))
@example("[" * 200_000)
def test_any_report_is_read_or_refused(text: str) -> None:
    quickly(lambda: parse_reported(text), InvalidError)


EXPRESSIONS = st.lists(
    st.sampled_from(
        [
            *("id", "site", "tag", "version", "presence", "reading.", "reading.a", "and", "or", "not"),
            *("=", "!=", "<", ">=", "~", "==", "(", ")", "&&", "[", '"a', '"a"', "'", "\\"),
            *("1e999", "9" * 400, "*" * 50, "v1.2", "online"),
        ]
    )
    | TEXT,
    max_size=30,
)


@given(EXPRESSIONS.map(" ".join) | EXPRESSIONS.map("".join) | TEXT)
@example("(" * LONGEST)
@example("not " * (LONGEST // 4))
@example('"' * LONGEST)
@example("id~" + "*a" * 2000)
@example("id=a or " * 511 + "id=a")
@example("x" * 1_000_000)
def test_any_expression_is_read_or_refused(text: str) -> None:
    quickly(lambda: parse_where(text), WhereError)


TOML = st.recursive(
    st.sampled_from(["operator", "observer", "gardener", "", "*", "a@b", 1, True, 1.5, None]) | TEXT,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["role", "devices", "commands", "roles", "gardener", "a@example.org", "a/b", "@", ""]
            )
            | TEXT,
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(
    st.dictionaries(
        st.sampled_from(["alice@example.org", "example.org", "roles", "", "a@b/c"]) | TEXT, TOML, max_size=5
    )
)
def test_any_table_of_grants_is_read_or_refused(table: dict[str, Any]) -> None:
    quickly(lambda: parse_access(table, "agent.toml: access"), ConfigError)


@given(
    st.text(max_size=300) | st.lists(st.sampled_from(["a", "=", "'", '"', "\\", " ", "\n", "#"])).map("".join)
)
@example("'" * LONGEST_MESSAGE)
@example("a=" * (LONGEST_MESSAGE // 2))
def test_any_line_is_split_or_refused(text: str) -> None:
    quickly(lambda: split_words(text), ArgumentsError)


# Audit logs.


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of twenty lines, closed."""
    path = tmp_path_factory.mktemp("audit") / "audit.log"
    log = AuditLog(path, now=lambda: 1.0)
    for number in range(20):
        log.append(AuditEntry(time=float(number), who=DESK, command="switch", id=str(number), result="done"))
    log.close()
    return path


CHANGES = st.lists(
    st.tuples(st.integers(0, 10_000), st.integers(0, 50), st.binary(max_size=20)), min_size=1, max_size=4
)
NUMBERS = st.sampled_from(["1", "-1", "0", "20", "21", "null", "true", "9" * 4300, "1e5"])


def head_of(n: str, digest: str, first: str) -> bytes:
    return f'{{"n":{n},"hash":{digest},"first":{first},"before":"0"}}'.encode()


HEADS = (
    st.none()
    | st.binary(max_size=60)
    | JSON_TEXT.map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.builds(head_of, NUMBERS, st.sampled_from(['"a"', '"a"', "null", '"\\ud800"']), NUMBERS)
)


@given(CHANGES, HEADS, st.booleans())
@example(changes=[], head=head_of("9" * 4300, '"a"', "1"), anything=False)
@settings(max_examples=80)
def test_any_file_is_verified_and_a_log_goes_on_after_it(
    written: Path, changes: list[tuple[int, int, bytes]], head: bytes | None, anything: bool
) -> None:
    whole, good_head = written.read_bytes(), head_path(written).read_bytes()
    mutated = b"" if anything else whole
    for at, removed, put in changes:
        mutated = mutated[:at] + put + mutated[at + removed :]
    path = written.with_name("mutated.log")
    path.write_bytes(mutated)
    head_path(path).write_bytes(good_head if head is None else head)
    quickly(lambda: verify(path), StoreError)
    quickly(lambda: list(entries(path)), StoreError)
    verdict = verify(path)
    kept = mutated[: mutated.rfind(b"\n") + 1]
    assert verdict.ok == (not verdict.first_fault)
    if head is None:
        assert verdict.ok == (kept == whole)
    log = AuditLog(path, now=lambda: 2.0)
    log.append(AuditEntry(time=2.0, result="done", id="after"))
    log.close()
    assert [each["id"] for each in entries(path)][-1] == "after"
