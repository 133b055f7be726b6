"""Alarms: they reach people, seldom enough to be read."""

import asyncio

import pytest

from iotxmpp.errors import InvalidError, LinkDownError
from iotxmpp.link import Message
from iotxmpp.serving.alarms import Alarms


class Phones:
    """The people, and what they got."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str]] = []
        self.down = False
        self.clock = 0.0
        self.alarms = Alarms(
            ["Alice@example.org", "bob@example.org/phone"], self.send, clock=lambda: self.clock
        )

    async def send(self, to: str, message: Message) -> None:
        await asyncio.sleep(0)
        if self.down:
            raise LinkDownError("the link is down")
        assert message.kind == "chat"
        assert message.extensions
        self.got.append((to, message.text))


async def test_an_alarm_reaches_each_of_the_people() -> None:
    phones = Phones()
    assert await phones.alarms.raise_alarm("it burns\x00") == 2
    assert phones.got == [("alice@example.org", "it burns\ufffd"), ("bob@example.org", "it burns\ufffd")]


async def test_the_same_alarm_comes_once_a_minute_and_counts_what_was_held_back() -> None:
    phones = Phones()
    for second in range(61):
        phones.clock = float(second)
        await phones.alarms.raise_alarm(f"{second} °C", key="too hot")
    assert [text for to, text in phones.got if to == "bob@example.org"] == [
        "0 °C",
        "60 °C (59 more were held back)",
    ]


async def test_a_person_gets_six_a_minute_and_sixty_an_hour() -> None:
    phones = Phones()
    times: list[float] = []
    for second in range(0, 7200, 2):
        phones.clock = float(second)
        if await phones.alarms.raise_alarm(f"alarm {second}"):
            times.append(second)
    for seconds, most in ((60, 6), (3600, 60)):
        assert max(sum(start <= each < start + seconds for each in times) for start in times) == most
    texts = [text for to, text in phones.got if to == "bob@example.org"]
    told = sum(int(text.split("(")[1].split()[0]) for text in texts if "(" in text)
    held_back_since = (7198 - times[-1]) // 2
    assert len(texts) + told + held_back_since == 3600


async def test_an_alarm_that_could_not_be_sent_is_counted() -> None:
    phones = Phones()
    phones.down = True
    assert await phones.alarms.raise_alarm("one") == 0
    phones.down = False
    assert await phones.alarms.raise_alarm("two") == 2
    assert phones.got[0] == ("alice@example.org", "two (1 more were held back)")


async def test_alarms_of_many_keys_take_no_more_than_their_room() -> None:
    phones = Phones()
    for number in range(3000):
        await phones.alarms.raise_alarm(f"alarm {number}")
    assert len(phones.alarms._raised) == 1000
    assert len(phones.got) == 12


def test_people_are_accounts() -> None:
    with pytest.raises(InvalidError):
        Alarms(["nobody"], Phones().send)
