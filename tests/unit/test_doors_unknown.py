"""A command of which its own function cannot say whether it ran: `unknown`, through each door."""

import pytest

from iotxmpp.commands import read_reply
from iotxmpp.errors import CommandUnknownError
from iotxmpp.link import Message
from tests.unit.doors_house import call
from tests.unit.person_client import command, note
from tests.unit.serving_world import DESK, World, chat_of

TEXT = "water: unknown, started: the board restarted; look at the device before you call again"


def world(text: str = TEXT) -> World:
    ran: list[int] = []

    def water() -> None:
        ran.append(1)
        assert len(ran) == 1, "a command whose end is not known is not run again"
        raise CommandUnknownError(text)

    return World(water)


async def test_a_machine_is_told_that_nobody_knows_and_again_for_the_same_id() -> None:
    house = world()
    for _ in range(2):
        with pytest.raises(CommandUnknownError, match="unknown, started: the board restarted"):
            read_reply(await house.ask(call("{}", name="water")))
    assert house.results() == ["started", "unknown"]
    assert house.audit.entries[-1].text == TEXT


async def test_a_person_is_told_in_the_form_and_in_the_chat() -> None:
    house = world()
    assert note(await house.ask(command("execute", name="water"))) == ("error", TEXT)
    assert house.results() == ["started", "unknown"]
    house = world()
    assert await chat_of(house).take(Message(sender=DESK, text="water")) == TEXT
    assert house.results() == ["started", "unknown"]


async def test_any_text_of_it_fits_a_stanza() -> None:
    with pytest.raises(CommandUnknownError) as caught:
        read_reply(await world("\0caf\udce9" + "x" * 100_000).ask(call("{}", name="water")))
    assert 0 < len(str(caught.value)) <= 2000
