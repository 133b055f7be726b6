from collections.abc import Callable
from typing import Literal
from xml.etree.ElementTree import Element

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotxmpp.access import Grant
from iotxmpp.commands import call_element, cancel_element, read_reply
from iotxmpp.errors import (
    ArgumentsError,
    CommandCancelledError,
    CommandFailedError,
    StanzaError,
)
from iotxmpp.link import Request
from iotxmpp.payloads import json_element
from iotxmpp.serving.server import CommandServer
from tests.unit.serving_world import CONTROLLER, DESK, FRIEND, STRANGER, World


def server(*functions: Callable[..., object]) -> CommandServer:
    return World(*functions).server


def request(payload: Element, sender: str = DESK, kind: Literal["get", "set"] = "set") -> Request:
    return Request(sender=sender, kind=kind, payload=payload)


@pytest.mark.parametrize("sender", [f"{CONTROLLER}/Work", "House@EXAMPLE.org/x", CONTROLLER])
async def test_a_controller_is_obeyed_in_every_spelling(sender: str) -> None:
    def ping() -> int:
        return 7

    answer = await server(ping).answer(request(call_element("ping", {}, id="c1"), sender))
    assert read_reply(answer) == 7


@pytest.mark.parametrize(
    "sender",
    ["stranger@example.org/1", "example.org", "house@example.com", "house@example.org.evil/x", "", "@"],
)
@pytest.mark.parametrize("payload", [call_element("ping", {}, id="c"), Element("nonsense")])
async def test_a_stranger_learns_nothing_else(sender: str, payload: Element) -> None:
    with pytest.raises(StanzaError) as caught:
        await server().answer(request(payload, sender))
    assert caught.value.condition == "forbidden"
    assert "ping" not in caught.value.text


async def test_a_get_is_no_call() -> None:
    with pytest.raises(StanzaError, match="bad-request"):
        await server().answer(request(call_element("ping", {}, id="c"), kind="get"))


@pytest.mark.parametrize(("expires", "runs"), [(999.0, False), (1001.0, True), (None, True)])
async def test_an_expired_call_never_starts(expires: float | None, runs: bool) -> None:
    ran = []

    def ping() -> None:
        ran.append(1)

    element = call_element("ping", {}, id="c", expires=expires)
    if runs:
        await server(ping).answer(request(element))
    else:
        with pytest.raises(StanzaError, match="expired"):
            await server(ping).answer(request(element))
    assert bool(ran) is runs


async def test_a_friend_without_the_role_is_told_what_is_missing() -> None:
    def ping() -> None:
        raise AssertionError("it must not run")

    world = World(ping)
    with pytest.raises(StanzaError, match="asks for operator") as caught:
        await world.ask(call_element("ping", {}, id="c"), FRIEND)
    assert caught.value.condition == "forbidden"
    assert [(entry.result, entry.who, entry.command) for entry in world.audit.entries] == [
        ("refused", FRIEND, "ping")
    ]


async def test_strangers_do_not_fill_the_audit() -> None:
    world = World()
    for _ in range(1000):
        with pytest.raises(StanzaError):
            await world.ask(call_element("ping", {}, id="c"), STRANGER)
    assert 1 <= len(world.audit.entries) < 20
    assert {entry.result for entry in world.audit.entries} == {"refused"}


async def test_each_sees_the_commands_that_they_may_call() -> None:
    def ping() -> None:
        """Answers."""

    world = World(ping, title="Ping it")
    assert [(entry.node, entry.name) for entry in world.server.entries(DESK)] == [("ping", "Ping it")]
    assert world.server.entries(FRIEND) == []
    assert world.server.entries(STRANGER) == []
    with pytest.raises(StanzaError, match="this device has: none"):
        await world.ask(call_element("pong", {}, id="c"), FRIEND)


async def test_a_repeated_call_gets_the_same_answer_and_the_person_is_named() -> None:
    world = World(lambda: 7, name="ping")
    element = call_element("ping", {}, id="c", by="anna@example.org")
    answers = [read_reply(await world.ask(element)) for _ in range(2)]
    assert answers == [7, 7]
    assert [(entry.by, entry.door) for entry in world.audit.entries] == [
        ("anna@example.org", "controller")
    ] * 2


async def test_on_whose_behalf_is_taken_from_controllers_alone() -> None:
    world = World(lambda: 7, name="ping", role="observer")
    grants = (
        Grant(who="example.net", role="maintainer"),
        Grant(who="some@example.org", role="maintainer", commands=("ping",)),
        Grant(who="other@example.org", role="maintainer", devices=("cellar",)),
        Grant(who="other@example.org", role="operator"),
    )
    world.access = world.access.plus(*grants)
    world.serve()
    senders = (FRIEND, "ann@example.net/x", "some@example.org/x", "other@example.org/x")
    for sender in senders:
        for element in (
            call_element("ping", {}, id="c", by="anna@example.org"),
            call_element("pong", {}, id="c", by="anna@example.org"),
        ):
            with pytest.raises(StanzaError) as refused:
                await world.ask(element, sender)
            known = "ping" in element.attrib.values()
            assert refused.value.condition == ("bad-request" if known else "item-not-found")
        own = sender.partition("/")[0]
        assert [(each.by, each.door, each.result) for each in world.audit.entries] == [
            (own, "machine", "refused")
        ] * 2
        assert "may not call on behalf of anna@example.org" in world.audit.entries[0].text
        world.audit.entries.clear()
        answer = await world.ask(call_element("ping", {}, id="own", by=own), sender)
        assert read_reply(answer) == 7
        assert {(each.by, each.door) for each in world.audit.entries} == {(own, "machine")}
        world.audit.entries.clear()


async def test_a_call_is_cancelled_before_it_starts_and_not_after() -> None:
    world = World(lambda: 7, name="ping")
    with pytest.raises(CommandCancelledError):
        read_reply(await world.ask(cancel_element("ping", id="c")))
    with pytest.raises(CommandCancelledError):
        read_reply(await world.ask(call_element("ping", {}, id="c")))
    await world.ask(call_element("ping", {}, id="d"))
    with pytest.raises(StanzaError, match="too late to cancel"):
        await world.ask(cancel_element("ping", id="d"))


async def test_a_result_that_cannot_travel_is_a_failure() -> None:
    def odd() -> object:
        return object()

    answer = await server(odd).answer(request(call_element("odd", {}, id="c")))
    with pytest.raises(CommandFailedError, match="it ran, but its result cannot be sent"):
        read_reply(answer)


async def test_a_failure_of_ours_is_told_without_its_class() -> None:
    def stuck() -> None:
        raise CommandFailedError("the valve is stuck")

    answer = await server(stuck).answer(request(call_element("stuck", {}, id="c")))
    with pytest.raises(CommandFailedError, match=r"^the valve is stuck$"):
        read_reply(answer)


async def test_a_drivers_own_check_of_arguments_is_a_bad_payload() -> None:
    def picky() -> None:
        raise ArgumentsError("channel: 5 is none")

    with pytest.raises(StanzaError) as caught:
        await server(picky).answer(request(call_element("picky", {}, id="c")))
    assert caught.value.detail == "{http://jabber.org/protocol/commands}bad-payload"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.dictionaries(st.sampled_from(["seconds", "zone", "other"]), VALUES, max_size=3)
    | st.fixed_dictionaries({"seconds": st.integers(0, 60)}, optional={"zone": st.text(max_size=5)})
)
async def test_only_what_the_model_accepts_reaches_the_function(arguments: dict[str, object]) -> None:
    arrived: list[tuple[object, object]] = []

    async def water(seconds: int, zone: str = "a") -> None:
        arrived.append((seconds, zone))

    fits = (
        arguments.keys() <= {"seconds", "zone"}
        and type(arguments.get("seconds")) is int
        and type(arguments.get("zone", "a")) is str
    )
    try:
        await server(water).answer(request(call_element("water", arguments, id="c")))
    except StanzaError as error:
        assert error.condition == "bad-request"  # noqa: PT017  # both ways are right, each for its inputs
        assert not fits
        assert arrived == []
    else:
        assert fits
        assert arrived == [(arguments["seconds"], arguments.get("zone", "a"))]


@given(st.text())
async def test_no_payload_makes_the_server_fail_otherwise(text: str) -> None:
    def ping(number: int) -> int:
        return number

    element = call_element("ping", {"number": 1}, id="c")
    element[0] = json_element(text)
    try:
        answer = await server(ping).answer(request(element))
    except StanzaError as error:
        assert error.condition == "bad-request"  # noqa: PT017  # both ways are right, each for its inputs
    else:
        assert isinstance(read_reply(answer), int)
