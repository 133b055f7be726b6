"""What is written down of strangers: a few refusals a minute of each, and always how many more there were."""

import asyncio

import pytest

from iotxmpp.serving import strangers
from iotxmpp.serving.strangers import MOST_ACCOUNTS, NOTED, WITHIN, Strangers
from tests.unit.agent_house import until

EVE, FRIEND, BOB = "eve@example.net/x", "friend@example.net/y", "bob@example.org/z"


class Book:
    """A limit with a clock of its own, and what it told."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.told: list[tuple[str, int]] = []
        self.strangers = Strangers(
            lambda account, count: self.told.append((account, count)),
            known=lambda jid: jid == BOB,
            clock=lambda: self.now,
        )

    def flood(self, jid: str, times: int) -> int:
        """How many of so many refusals are written down."""
        return sum(self.strangers.noted(jid) for _ in range(times))


def test_a_flood_of_one_hides_nothing_of_another() -> None:
    book = Book()
    assert book.flood(EVE, 1000) == NOTED
    assert book.flood("eve@example.net/another", 10) == 0  # one account, whatever its session
    assert book.flood(FRIEND, 3) == 3
    assert book.told == []


def test_who_has_a_role_is_never_passed_over() -> None:
    book = Book()
    assert book.flood(BOB, 1000) == 1000


def test_a_minute_later_the_rest_is_counted_and_it_begins_anew() -> None:
    book = Book()
    book.flood(EVE, 50)
    book.now += WITHIN
    assert book.flood(EVE, 1) == 1
    assert book.told == [("eve@example.net", 50 - NOTED)]


def test_many_accounts_share_one_count_in_the_end() -> None:
    book = Book()
    noted = sum(book.flood(f"e{number}@example.net/x", 1) for number in range(10 * MOST_ACCOUNTS))
    assert noted == MOST_ACCOUNTS + NOTED
    assert len(book.strangers._counts) == MOST_ACCOUNTS + 1
    book.strangers.close()
    assert book.told == [("", 9 * MOST_ACCOUNTS - NOTED)]


def test_a_servers_own_address_counts_too() -> None:
    book = Book()
    assert book.flood("example.net", 10) == NOTED
    book.strangers.close()
    book.strangers.close()
    assert book.told == [("example.net", 10 - NOTED)]


async def test_the_count_is_told_where_nobody_comes_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strangers, "WITHIN", 0.05)
    told: list[tuple[str, int]] = []
    limit = Strangers(lambda account, count: told.append((account, count)))
    for jid in (EVE, FRIEND):
        for _ in range(NOTED + 2):
            limit.noted(jid)
        await asyncio.sleep(0.02)
    await until(lambda: len(told) == 2)
    assert told == [("eve@example.net", 2), ("friend@example.net", 2)]
