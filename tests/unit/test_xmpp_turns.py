"""Texts of one turn of the loop: in their order, together, and never for ever behind one that failed."""

import asyncio

import pytest

from iotxmpp.xmpp.turns import TurnWriter


async def test_a_lone_text_goes_at_once_and_the_others_of_its_turn_together() -> None:
    written: list[str] = []
    writer = TurnWriter(written.append)
    writer.put("a")
    assert written == ["a"]
    writer.put("b")
    writer.put("c")
    assert written == ["a"]
    await asyncio.sleep(0)
    assert written == ["a", "bc"]


async def test_a_write_that_fails_does_not_keep_the_next_turns_from_being_written() -> None:
    written: list[str] = []
    failures = 1

    def write(text: str) -> None:
        nonlocal failures
        if len(text) > 1 and failures:
            failures -= 1
            raise AttributeError("the transport has ended")
        written.append(text)

    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    writer = TurnWriter(write)
    for text in "abc":
        writer.put(text)
    await asyncio.sleep(0.01)
    assert (written, len(told)) == (["a"], 1)
    writer.put("d")
    await asyncio.sleep(0.01)
    assert written == ["a", "d"]


@pytest.mark.parametrize("texts", [1, 2, 5])
async def test_what_waits_goes_before_what_does_not(texts: int) -> None:
    written: list[str] = []
    writer = TurnWriter(written.append)
    for number in range(texts):
        writer.put(str(number))
    writer.flush()
    written.append("x")
    await asyncio.sleep(0)
    assert "".join(written) == "".join(map(str, range(texts))) + "x"
