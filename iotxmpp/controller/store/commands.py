"""The queue of commands in the store: each change is one transaction, and on disk when it returns."""

import json
from typing import Any

import sqlalchemy as sa

from iotxmpp.controller.queued import CANCELLING, OPEN, CommandState, QueuedCommand
from iotxmpp.controller.store.database import Database
from iotxmpp.controller.store.schema import commands
from iotxmpp.errors import CommandError, StoreError

MOST_A_DEVICE = 1_000
"""Commands of one device that may wait."""

MOST = 100_000
"""Commands that may wait."""

AT_ONCE = 1_000
"""Ended commands that one step of tidying up removes."""

AWAY = "cancelling: the device is away, or does not answer; it is taken back before it is asked for again"
TOO_LATE = "too late to cancel: the device has started it"

_JSON = ("arguments", "result")
_FIELDS = tuple(column for column in commands.c if column.name not in {"seq", "controller"})


class CommandRows:
    """The commands that one controller queues; the calls block.

    Each change is made only where the command has not ended, so that what ended first stands.

    Args:
        database: The store's database.
        controller: The controller's bare JID.
    """

    def __init__(self, database: Database, controller: str) -> None:
        self._database = database
        self._controller = controller
        self._mine = commands.c.controller == controller

    def add(self, command: QueuedCommand) -> None:
        """Adds a command behind all others.

        Raises:
            CommandError: Too many wait already.
            StoreError: It could not be written.
        """
        count = sa.select(sa.func.count(), sa.func.count().filter(commands.c.device == command.device)).where(
            self._mine, commands.c.state.in_(OPEN)
        )
        with self._database.write() as connection:
            total, here = connection.execute(count).one()
            if here >= MOST_A_DEVICE or total >= MOST:
                whose, waiting = (command.device, here) if here >= MOST_A_DEVICE else ("all devices", total)
                raise CommandError(
                    f"command {command.name} was not queued: {waiting} commands of {whose} wait already;"
                    " cancel some with `iotxmpp commands cancel`, or give a shorter ttl"
                )
            connection.execute(sa.insert(commands).values(controller=self._controller, **_row(command)))

    def get(self, id: str) -> QueuedCommand | None:  # noqa: A002  # the column's name
        """One command; None where there is none of that id.

        Raises:
            StoreError: It could not be read.
        """
        with self._database.read() as connection:
            row = connection.execute(sa.select(*_FIELDS).where(self._mine, commands.c.id == id)).one_or_none()
        return None if row is None else _command(row)

    def open(self) -> list[tuple[str, str, float, CommandState]]:
        """Id, device, expiry and state of each command that has not ended, in their order.

        Raises:
            StoreError: They could not be read.
        """
        query = (
            sa.select(commands.c.id, commands.c.device, commands.c.expires, commands.c.state)
            .where(self._mine, commands.c.state.in_(OPEN))
            .order_by(commands.c.seq)
        )
        with self._database.read() as connection:
            return [(row.id, row.device, row.expires, row.state) for row in connection.execute(query)]

    def find(
        self, device: str | None = None, state: CommandState | None = None, limit: int = 100
    ) -> list[QueuedCommand]:
        """The newest commands, the oldest of them first.

        Args:
            device: Only this device's.
            state: Only those in this state.
            limit: At most so many.

        Raises:
            StoreError: They could not be read.
        """
        query = sa.select(*_FIELDS).where(self._mine).order_by(commands.c.seq.desc()).limit(limit)
        if device is not None:
            query = query.where(commands.c.device == device)
        if state is not None:
            query = query.where(commands.c.state == state)
        with self._database.read() as connection:
            return [_command(row) for row in reversed(connection.execute(query).all())]

    def places(
        self, device: str | None, state: CommandState | None, *, before: str, limit: int
    ) -> list[tuple[str, str]]:
        """Id and device of the newest commands, the newest first.

        Args:
            device: Only this device's.
            state: Only those in this state.
            before: Only those that were queued before the one of this id; empty for all.
            limit: At most so many.

        Raises:
            StoreError: They could not be read.
        """
        query = sa.select(commands.c.id, commands.c.device).where(self._mine)
        if device is not None:
            query = query.where(commands.c.device == device)
        if state is not None:
            query = query.where(commands.c.state == state)
        if before:
            here = sa.select(commands.c.seq).where(self._mine, commands.c.id == before)
            query = query.where(commands.c.seq < here.scalar_subquery())
        with self._database.read() as connection:
            found = connection.execute(query.order_by(commands.c.seq.desc()).limit(limit)).all()
        return [(row.id, row.device) for row in found]

    def beginning(self, start: str, limit: int) -> list[tuple[str, str]]:
        """Id and device of some commands whose ids begin so.

        Raises:
            StoreError: They could not be read.
        """
        query = sa.select(commands.c.id, commands.c.device).where(
            self._mine, sa.func.substr(commands.c.id, 1, len(start)) == start
        )
        if self._database.sqlite:  # it compares bytes, and so finds them by its index
            query = query.where(commands.c.id >= start, commands.c.id < f"{start}\x7f")
        with self._database.read() as connection:
            return [(row.id, row.device) for row in connection.execute(query.limit(limit))]

    def sending(self, id: str, now: float) -> bool:  # noqa: A002  # as above
        """A command is about to be sent; whether it still may be: not once it is to be cancelled.

        Raises:
            StoreError: It could not be written.
        """
        values = {
            "state": "sent",
            "sent": commands.c.sent + 1,
            "first_sent": sa.func.coalesce(commands.c.first_sent, now),
            "updated": now,
        }
        return self._change(id, OPEN, values, commands.c.reason != CANCELLING)

    def cancelling(self, id: str, *, wanted: bool) -> bool:  # noqa: A002  # as above
        """Notes that a command that was sent is to be cancelled, or not any more; whether it was `sent`.

        Raises:
            StoreError: It could not be written.
        """
        reason, text = (CANCELLING, AWAY) if wanted else ("", TOO_LATE)
        return self._change(id, ("sent",), {"reason": reason, "text": text})

    def latest(self) -> float:
        """The latest time at which any command changed, by the clock of then; 0 for none.

        Raises:
            StoreError: It could not be read.
        """
        with self._database.read() as connection:
            found = connection.execute(sa.select(sa.func.max(commands.c.updated)).where(self._mine)).scalar()
        return float(found or 0.0)

    def end(self, command: QueuedCommand, *, only: tuple[CommandState, ...] = OPEN) -> bool:
        """A command has ended, as it says; whether it was in one of these states before.

        Raises:
            BadRowError: The database does not take these very values.
            StoreError: It could not be written.
        """
        names = ("state", "reason", "text", "result", "updated")
        return self._change(command.id, only, {name: _row(command)[name] for name in names})

    def tidy(self, before: float) -> int:
        """Removes some of the commands that ended before that time; how many.

        Raises:
            StoreError: It could not be written.
        """
        ended = sa.and_(self._mine, commands.c.state.not_in(OPEN), commands.c.updated < before)
        chosen = sa.select(commands.c.seq).where(ended).limit(AT_ONCE)
        with self._database.write() as connection:
            return connection.execute(sa.delete(commands).where(commands.c.seq.in_(chosen))).rowcount

    def _change(
        self,
        id: str,  # noqa: A002  # as above
        only: tuple[CommandState, ...],
        values: dict[str, Any],
        *more: sa.ColumnElement[bool],
    ) -> bool:
        here = sa.and_(self._mine, commands.c.id == id, commands.c.state.in_(only), *more)
        with self._database.write() as connection:
            return connection.execute(sa.update(commands).where(here).values(**values)).rowcount > 0


def _row(command: QueuedCommand) -> dict[str, Any]:
    # ASCII, because PostgreSQL takes no text with a NUL or half a surrogate pair in it.
    row = command.as_data()
    return {**row, **{name: json.dumps(row[name]) for name in _JSON}}


def _command(row: sa.Row[Any]) -> QueuedCommand:
    values = dict(row._mapping)  # noqa: SLF001  # its public name, which SQLAlchemy keeps apart from columns
    try:
        parsed = {name: json.loads(values[name]) for name in _JSON}
    except ValueError as error:
        raise StoreError(f"command {row.id} in the store holds no JSON: {error}; delete its row") from error
    return QueuedCommand(**{**values, **parsed})
