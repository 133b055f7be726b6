"""What is written down of refusals: some a minute of each account, and always how many more there were."""

import asyncio

import pytest

from iotxmpp.serving import refusals
from iotxmpp.serving.refusals import MOST_STRANGERS, OF_STRANGERS, WITHIN, Refusals, account_of
from tests.unit.agent_house import until

EVE, FRIEND = "eve@example.net/x", "friend@example.net/y"


class Book:
    """A limit with a clock of its own, and what it told."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.told: list[tuple[str, int]] = []
        self.full = False
        self.refusals = Refusals(
            self.tell, noted=OF_STRANGERS, accounts=MOST_STRANGERS, clock=lambda: self.now
        )

    def tell(self, account: str, count: int) -> bool:
        if self.full and account:
            return False
        self.told.append((account, count))
        return True

    def flood(self, jid: str, times: int) -> int:
        """How many of so many refusals are written down."""
        return sum(self.refusals.noted(account_of(jid)) for _ in range(times))


def test_a_flood_of_one_hides_nothing_of_another() -> None:
    book = Book()
    assert book.flood(EVE, 1000) == OF_STRANGERS
    assert book.flood("eve@example.net/another", 10) == 0  # one account, whatever its session
    assert book.flood(FRIEND, 3) == 3
    assert book.told == []


def test_a_minute_later_the_rest_is_counted_and_it_begins_anew() -> None:
    book = Book()
    book.flood(EVE, 50)
    book.now += WITHIN
    assert book.flood(EVE, 1) == 1
    assert book.told == [("eve@example.net", 50 - OF_STRANGERS)]


def test_many_accounts_share_one_count_in_the_end() -> None:
    book = Book()
    noted = sum(book.flood(f"e{number}@example.net/x", 1) for number in range(10 * MOST_STRANGERS))
    assert noted == MOST_STRANGERS + OF_STRANGERS
    assert len(book.refusals._counts) == MOST_STRANGERS + 1
    book.refusals.close()
    assert book.told == [("", 9 * MOST_STRANGERS - OF_STRANGERS)]


def test_a_servers_own_address_counts_too() -> None:
    book = Book()
    assert book.flood("example.net", 10) == OF_STRANGERS
    book.refusals.close()
    book.refusals.close()
    assert book.told == [("example.net", 10 - OF_STRANGERS)]


async def test_the_count_is_told_where_nobody_comes_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "WITHIN", 0.05)
    book = Book()
    limit = Refusals(book.tell, noted=3, accounts=9)
    for jid in (EVE, FRIEND):
        for _ in range(5):
            limit.noted(account_of(jid))
        await asyncio.sleep(0.02)
    await until(lambda: len(book.told) == 2)
    assert book.told == [("eve@example.net", 2), ("friend@example.net", 2)]


def test_what_has_no_room_of_its_own_is_told_with_all_others() -> None:
    book = Book()
    book.full = True
    assert not any(book.refusals.noted("eve@example.net", room=False) for _ in range(3))
    book.now += WITHIN
    assert book.flood(FRIEND, OF_STRANGERS + 4) == OF_STRANGERS
    assert book.told == []
    book.now += WITHIN
    book.flood("another@example.net", 1)
    assert book.told == [("", 3)]
    book.refusals.close()
    assert book.told == [("", 3), ("", 4)]
