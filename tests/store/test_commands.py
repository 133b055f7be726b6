"""The queue of commands in the store: in order, one end each, bounded, and each controller its own."""

from dataclasses import replace
from typing import Any

import pytest

from iotxmpp.controller.queued import COMMAND_STATES, QueuedCommand
from iotxmpp.controller.store import Store
from iotxmpp.controller.store import commands as module
from iotxmpp.controller.store.commands import CommandRows
from iotxmpp.errors import CommandError, StoreError
from tests.store.samples import NOW

HOUSE = "house@localhost"


def command(id: str = "c1", **changes: Any) -> QueuedCommand:  # noqa: A002, ANN401  # its name; a model's fields
    given = {"device": "hall", "name": "water", "arguments": {"seconds": 20}, "created": NOW, "updated": NOW}
    return QueuedCommand(**{"id": id, "expires": NOW + 60, **given, **changes})


@pytest.fixture
def rows(store: Store) -> CommandRows:
    return CommandRows(store.database, HOUSE)


def test_a_command_comes_back_as_it_was_put(rows: CommandRows) -> None:
    hard = {"text": "a\x00b\ud800 ✓ 'x'; --", "list": [1, 2.5, None, True, {"deep": []}], "big": 2**80}
    put = command(arguments=hard, by="ann@example.org")
    rows.add(put)
    assert rows.get("c1") == put
    assert rows.get("c2") is None
    done = replace(put, state="done", result=hard, updated=NOW + 1)
    assert rows.end(done)
    assert rows.get("c1") == done


def test_what_is_open_is_told_in_the_order_in_which_it_came(rows: CommandRows) -> None:
    for name in ("z", "a", "m", "b"):
        rows.add(command(name))
    assert rows.sending("z", NOW)
    assert rows.end(command("a", state="cancelled"))
    assert [(id_, state) for id_, _, _, state in rows.open()] == [
        ("z", "sent"),
        ("m", "queued"),
        ("b", "queued"),
    ]


def test_each_sending_is_counted_and_the_first_is_remembered(rows: CommandRows) -> None:
    rows.add(command())
    assert rows.sending("c1", NOW + 1)
    assert rows.sending("c1", NOW + 2)
    found = rows.get("c1")
    assert found is not None
    assert (found.state, found.sent, found.first_sent, found.updated) == ("sent", 2, NOW + 1, NOW + 2)


@pytest.mark.parametrize("state", [each for each in COMMAND_STATES if each not in {"queued", "sent"}])
def test_the_first_end_stands(rows: CommandRows, state: Any) -> None:  # noqa: ANN401  # one of the states
    rows.add(command())
    assert rows.end(command(state=state, text="first"))
    assert not rows.end(command(state="done", text="second"))
    assert not rows.sending("c1", NOW)
    found = rows.get("c1")
    assert found is not None
    assert (found.state, found.text) == (state, "first")


def test_only_what_was_not_sent_can_be_ended_as_queued(rows: CommandRows) -> None:
    rows.add(command())
    rows.sending("c1", NOW)
    assert not rows.end(command(state="expired"), only=("queued",))
    assert rows.end(command(state="expired"))


def test_commands_are_found_by_device_and_state_the_newest_of_many(rows: CommandRows) -> None:
    for number in range(5):
        rows.add(command(f"h{number}"))
        rows.add(command(f"g{number}", device="garden"))
    rows.end(command("h1", state="done"))
    assert [each.id for each in rows.find("hall", "queued")] == ["h0", "h2", "h3", "h4"]
    assert [each.id for each in rows.find(limit=3)] == ["g3", "h4", "g4"]
    assert [each.id for each in rows.find(state="done")] == ["h1"]


def test_each_controller_has_its_own(store: Store, rows: CommandRows) -> None:
    rows.add(command())
    other = CommandRows(store.database, "barn@localhost")
    assert other.get("c1") is None
    assert other.open() == []
    assert not other.end(command(state="cancelled"))
    assert not other.sending("c1", NOW)


def test_an_id_is_used_once(rows: CommandRows) -> None:
    rows.add(command())
    with pytest.raises(StoreError):
        rows.add(command())


def test_too_many_are_refused_and_told(rows: CommandRows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_A_DEVICE", 2)
    monkeypatch.setattr(module, "MOST", 3)
    rows.add(command("a"))
    rows.add(command("b"))
    with pytest.raises(CommandError, match="2 commands of hall wait already; cancel some"):
        rows.add(command("c"))
    rows.add(command("d", device="garden"))
    with pytest.raises(CommandError, match="3 commands of all devices wait"):
        rows.add(command("e", device="garden"))
    rows.end(command("a", state="cancelled"))
    rows.add(command("f"))


def test_only_what_ended_long_ago_is_removed_and_in_steps(
    rows: CommandRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 2)
    for number in range(3):
        rows.add(command(f"old{number}"))
        rows.end(command(f"old{number}", state="done", updated=NOW - 10))
    rows.add(command("waits", updated=NOW - 100))
    rows.add(command("new"))
    rows.end(command("new", state="done"))
    assert [rows.tidy(NOW - 5) for _ in range(3)] == [2, 1, 0]
    assert [each.id for each in rows.find()] == ["waits", "new"]
