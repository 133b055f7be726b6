"""Nobody pushes the lines of others out of the audit log: refusals are counted, and commands have a share."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from iotxmpp.access import Access, Grant
from iotxmpp.errors import StoreError
from iotxmpp.serving.audit import MOST_BYTES, MOST_FILES, AuditLog
from iotxmpp.serving.auditcheck import entries, verify
from iotxmpp.serving.command import Caller, Door
from iotxmpp.serving.records import READ_AGAIN, Records
from iotxmpp.serving.refusals import OF_OTHERS, OF_STRANGERS, WITHIN
from iotxmpp.serving.shares import AN_HOUR, AT_ONCE, MOST_ACCOUNTS, OF_A_DOMAIN, Shares

ANN, BOB, CARL = "ann@example.org", "bob@example.org", "carl@school.example"
EVE = "eve@example.net"
ACCESS = Access(
    [
        Grant(who=ANN, role="maintainer"),
        Grant(who=BOB, role="observer"),
        Grant(who="school.example", role="observer"),
    ]
)
LONG = "\U0001f600" * 1000
"""What takes the most bytes of a line."""


class Desk:
    """Records in a file, with small files and a clock of their own."""

    def __init__(self, stack: ExitStack, path: Path) -> None:
        self.path = path
        self.clock = 1000.0
        self.log = AuditLog(path, now=lambda: 0.0, most_bytes=MOST_BYTES)
        stack.callback(self.log.close)
        self.records = Records(
            device="greenhouse",
            audit=self.log,
            problems=None,
            known=ACCESS.account_or_domain,
            clock=lambda: self.clock,
        )
        self.records.only_read(["look"])

    def refuse(self, account: str, times: int = 1, *, text: str = "no") -> None:
        for _ in range(times):
            self.records.note(caller(account), command="water", result="refused", text=text, given=text)

    def call(self, account: str, times: int = 1, *, command: str = "water", text: str = "") -> None:
        for _ in range(times):
            asks = caller(account)
            self.records.write(asks, command=command, result="started", given=text)
            self.records.note(asks, command=command, result="done", given=text)

    def lines(self, account: str) -> list[str]:
        return [each["result"] for each in entries(self.path) if str(each["who"]).startswith(account)]

    def texts(self) -> list[str]:
        return [each["text"] for each in entries(self.path) if "more refusals" in each["text"]]

    def use_up(self, account: str) -> int:
        """Commands that it may call until nothing more is started for it."""
        for number in range(10_000):
            try:
                self.call(account, text=LONG)
            except StoreError:
                return number
        raise AssertionError


def caller(account: str, door: Door = "machine", by: str = "") -> Caller:
    return Caller(jid=f"{account}/x", by=by or account, role="", door=door)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with ExitStack() as stack:
        yield Desk(stack, tmp_path / "audit.log")


def test_a_flood_of_refusals_of_who_has_a_role_is_counted(desk: Desk) -> None:
    desk.call(ANN)
    desk.refuse(BOB, 5000)
    desk.refuse(EVE, 100)
    assert len(desk.lines(BOB)) == OF_OTHERS
    assert len(desk.lines(EVE)) == OF_STRANGERS
    assert desk.lines(ANN) == ["started", "done"]
    desk.clock += WITHIN
    desk.refuse(BOB)
    desk.refuse(EVE)
    assert desk.texts() == [
        "4,940 more refusals of this account within 60 s",
        "94 more refusals of this account within 60 s",
    ]
    desk.refuse(ANN)  # of somebody else nothing is passed over meanwhile
    assert desk.lines(ANN)[-1] == "refused"


def test_refusals_of_the_largest_lines_stay_within_the_share(desk: Desk) -> None:
    desk.call(ANN)
    for _ in range(60 * 24 // 4):  # six hours of the worst
        desk.refuse(BOB, OF_OTHERS + 1, text=LONG)
        desk.clock += WITHIN
    size = sum(file.stat().st_size for file in desk.path.parent.glob("audit.log*"))
    assert size <= AT_ONCE + 6 * AN_HOUR + 6 * 60 * 1000 + 40_000
    assert desk.lines(ANN) == ["started", "done"]
    assert verify(desk.path).first == 1
    assert len(desk.texts()) >= 6 * 60 - 1


def test_where_an_account_has_no_room_its_number_is_told_with_those_of_others(desk: Desk) -> None:
    desk.use_up(BOB)
    assert desk.texts() == []
    desk.refuse(BOB, 7)
    desk.records.close()
    assert desk.texts() == ["7 more refusals of other accounts within 60 s"]


def test_who_filled_their_share_starts_nothing_more_and_others_do(desk: Desk) -> None:
    desk.call(ANN)
    assert desk.use_up(BOB) > 100
    for _ in range(3):
        with pytest.raises(StoreError, match=r"bob@example\.org filled its share of the audit log"):
            desk.call(BOB)
    desk.call(BOB, command="look")  # reading goes on
    desk.call(ANN, 5)
    desk.call(CARL)
    assert desk.lines(ANN) == ["started", "done"] * 6
    desk.refuse(BOB)
    results = desk.lines(BOB)
    assert (results.count("started"), "refused" in results) == (results.count("done"), False)
    desk.clock += WITHIN  # it grows again
    desk.call(BOB)


def test_an_end_is_written_though_the_share_is_used_up(desk: Desk) -> None:
    runs = caller(BOB)
    desk.records.write(runs, command="water", result="started")
    desk.use_up(BOB)
    desk.records.note(runs, command="water", result="rejected", text="a driver's own check")
    assert desk.lines(BOB)[-1] == "rejected"


def test_a_share_cannot_push_out_a_line_of_the_last_day() -> None:
    kept = (MOST_FILES - 1) * (MOST_BYTES - 64 * 1024)
    assert kept > AT_ONCE + 24 * AN_HOUR
    assert kept > OF_A_DOMAIN * (AT_ONCE + 9 * AN_HOUR)


def test_the_accounts_of_a_domain_share_too() -> None:
    now = 0.0
    shares = Shares(clock=lambda: now)
    pupils = [f"pupil{number}@school.example" for number in range(OF_A_DOMAIN + 1)]
    for pupil in pupils[:-1]:
        assert shares.has_room(pupil, "school.example")
        shares.charge(pupil, "school.example", AT_ONCE)
        assert not shares.has_room(pupil, "school.example")
    assert not shares.has_room(pupils[-1], "school.example")
    assert shares.has_room("head@school.example", "head@school.example")  # who is named has a share alone
    now += 1.0
    assert shares.has_room(pupils[-1], "school.example")


def test_those_without_a_role_share_one_and_take_nobodys() -> None:
    shares = Shares(clock=lambda: 0.0)
    shares.charge(ANN, ANN, AT_ONCE)
    for number in range(MOST_ACCOUNTS + 5):
        shares.charge(f"eve{number}@example.net", "", AT_ONCE // MOST_ACCOUNTS)
    assert not shares.has_room("another@example.net", "")
    assert not shares.has_room(ANN, ANN)  # it was not forgotten for them
    assert shares.has_room(BOB, BOB)


def test_a_share_grows_to_no_more_than_a_whole_one() -> None:
    now = 0.0
    shares = Shares(clock=lambda: now)
    shares.charge(BOB, BOB, AT_ONCE + AN_HOUR)
    now = 3600.0
    assert not shares.has_room(BOB, BOB)
    now = 3601.0
    assert shares.has_room(BOB, BOB)
    now = 1e9
    shares.charge(BOB, BOB, AT_ONCE)
    assert not shares.has_room(BOB, BOB)


def test_only_so_many_accounts_are_remembered() -> None:
    shares = Shares(clock=lambda: 0.0)
    for number in range(MOST_ACCOUNTS + 5):
        shares.charge(f"a{number}@example.org", f"a{number}@example.org", AT_ONCE)
    assert shares.has_room("a0@example.org", "a0@example.org")
    assert not shares.has_room("a9@example.org", "a9@example.org")


def test_the_person_for_whom_a_controller_asks_has_the_share(desk: Desk) -> None:
    for _ in range(OF_OTHERS + 9):
        desk.records.note(caller(ANN, by="dora@example.net"), command="water", result="refused")
    desk.refuse(ANN)
    assert len(desk.lines(ANN)) == OF_OTHERS + 1


# Reading.


def test_reads_leave_a_line_an_hour_and_their_refusals_all(desk: Desk) -> None:
    desk.call(BOB, 500, command="look")
    assert desk.lines(BOB) == ["done"]
    desk.call(ANN, 3, command="look")
    assert desk.lines(ANN) == ["done"]
    asks = caller(BOB)
    desk.records.write(asks, command="look", result="started", given={"id": "x"})
    desk.records.note(asks, command="look", result="rejected", text="no such command")
    assert desk.lines(BOB) == ["done", "rejected"]
    assert list(entries(desk.path))[-1]["arguments"] == '{"id": "x"}'
    desk.clock += READ_AGAIN
    desk.call(BOB, 2, command="look")
    assert desk.lines(BOB) == ["done", "rejected", "done"]


def test_a_read_needs_no_disk(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_entry: object) -> int:
        raise StoreError("the disk is full")

    monkeypatch.setattr(desk.log, "append", full)
    desk.call(BOB, command="look")
    with pytest.raises(StoreError, match="full"):
        desk.call(BOB)
    monkeypatch.undo()
    desk.call(BOB)
    assert desk.lines(BOB) == ["started", "done"]


def test_what_reads_is_remembered_of_so_many_alone(desk: Desk) -> None:
    for number in range(1100):
        desk.records._is_first_read(f"p{number}@school.example", "school.example", "look")
    assert len(desk.records._read) == 1000
