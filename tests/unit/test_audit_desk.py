"""What the controller's desk writes down: changes and refusals each time, reads once an hour."""

import pytest

from iotxmpp.controller.desk_client import ask_desk
from iotxmpp.controller.store import audit_place
from iotxmpp.errors import ArgumentsError, CommandError, NotAllowedError, UnknownCommandError
from iotxmpp.link import Message
from iotxmpp.serving import audit
from iotxmpp.serving.audit import AuditEntry
from iotxmpp.serving.auditcheck import entries
from tests.unit.agent_house import until
from tests.unit.controller_world import HOUSE
from tests.unit.desk_case import Case
from tests.unit.test_desk import case

__all__ = ["case"]


def lines(case: Case) -> list[tuple[str, str, str]]:
    path = audit_place(f"sqlite:///{case.store}", HOUSE)
    assert path is not None
    return [(each["who"].partition("@")[0], each["command"], each["result"]) for each in entries(path)]


async def test_polling_leaves_one_line_and_what_changes_two_each(case: Case) -> None:
    link, desk = await case.come("ann")
    await case.away()
    queued = await ask_desk(link, desk, "call", {"device": "hall", "command": "water", "ttl": "6h"})
    for _ in range(20):
        await ask_desk(link, desk, "command", {"id": queued["id"]})
        await ask_desk(link, desk, "commands", {})
        await ask_desk(link, desk, "twin", {"device": "hall"})
    await ask_desk(link, desk, "cancel", {"id": queued["id"]})
    await until(lambda: lines(case)[-1][2] == "done")
    assert lines(case) == [
        ("ann", "call", "started"),
        ("ann", "call", "done"),
        ("ann", "command", "done"),
        ("ann", "commands", "done"),
        ("ann", "twin", "done"),
        ("ann", "cancel", "started"),
        ("ann", "cancel", "done"),
    ]


async def test_refused_reads_are_all_written_down(case: Case) -> None:
    link, desk = await case.come("bert")
    with pytest.raises(UnknownCommandError):
        await ask_desk(link, desk, "command", {"id": "none"})
    with pytest.raises(NotAllowedError):
        await ask_desk(link, desk, "twin", {"device": "hall"})
    with pytest.raises(ArgumentsError):
        await ask_desk(link, desk, "commands", {"state": "odd"})
    with pytest.raises(UnknownCommandError):
        await ask_desk(link, desk, "fly", {})
    await until(lambda: len(lines(case)) == 4)
    assert lines(case) == [
        ("bert", "command", "rejected"),
        ("bert", "twin", "rejected"),
        ("bert", "commands", "rejected"),
        ("bert", "fly", "refused"),
    ]


async def test_reading_goes_on_while_the_disk_is_full_and_changing_does_not(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_log: object, _entry: AuditEntry) -> int:
        raise OSError(28, "No space left on device")

    link, desk = await case.come("ann")
    monkeypatch.setattr(audit.AuditLog, "_write", full)
    assert await ask_desk(link, desk, "commands", {}) == []
    with pytest.raises(CommandError, match="No space left"):
        await ask_desk(link, desk, "call", {"device": "hall", "command": "water"})
    monkeypatch.undo()
    assert await case.controller.commands() == []


async def test_what_is_written_to_a_controller_in_a_chat_is_nobodys_call(case: Case) -> None:
    link, desk = await case.come("ann")
    await link.send(desk, Message(text="call device=hall command=water"))
    await ask_desk(link, desk, "commands", {})
    assert {command for _, command, _ in lines(case)} <= {"commands"}
