"""Finds a board among the ports by what it says of itself, never by a port's name."""

import asyncio
import errno
import glob
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from firmware_bridge.candidates import ports_of
from firmware_bridge.events import Greeted
from firmware_bridge.link import Link
from firmware_bridge.reserving import reserved
from firmware_bridge.restarting import may_restart, note, restart

ASK_FOR = 4.0
"""Seconds that a board has to say who it is, after those that it has to start."""

GREET_WITHIN = 1.5
"""Seconds that the only port in question is waited for; a silent one is taken all the same."""

MOST_PORTS = 32
"""Ports that are asked at most."""

_LISTED = 8
_NOTHING_YET = "nothing that is understood came yet (is the speed, baud, right?)"
_LOGGER = logging.getLogger(__name__)

Connect = Callable[[str], Awaitable[Link]]
"""Opens the link at a port; raises OSError."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Which board is looked for, and where.

    Attributes:
        port: A port, a URL, or a pattern; None for every candidate.
        board: The id that it says; None for whichever is there alone.
        reset_wait: Seconds that a board has to start.
    """

    port: str | None
    board: str | None
    reset_wait: float

    @property
    def names_the_port(self) -> bool:
        """Whether `port` can mean one port alone: neither a pattern, nor whichever is there."""
        return self.port is not None and ("://" in self.port or not glob.has_magic(self.port))


async def find(wanted: Wanted, connect: Connect) -> Link:
    """The link to the board that is wanted.

    Where two boards say the same id, neither is used. A sketch that says no id, or nothing yet, is taken for
    the board that is wanted only where the settings name its very port; it is told then, as nothing confirms
    it.

    Raises:
        OSError: There is none, or more than one; the text says what each port said.
        ConfigError: A port cannot be opened as it is configured.
    """
    ports = ports_of(wanted.port)
    if not ports:
        where = f"{wanted.port}: no such port" if wanted.port else "no serial port of a USB board is there"
        raise OSError(
            errno.ENODEV, f"{where}; plug the board in, or see which there are: iotxmpp serial list"
        )
    if len(ports) > MOST_PORTS:
        raise OSError(errno.E2BIG, f"{len(ports)} ports; say which: port =")
    if len(ports) == 1 and wanted.board is None:
        return await _only(ports[0], wanted, connect)
    opened: list[Link] = []
    asking = [asyncio.create_task(_ask(port, wanted, connect, opened)) for port in ports]
    try:
        return await _chosen(await asyncio.gather(*asking), wanted)
    except BaseException:
        for each in asking:
            each.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        for link in opened:
            await link.close()
        raise


async def _only(port: str, wanted: Wanted, connect: Connect) -> Link:
    link = await connect(port)
    try:
        await link.greeting(lambda _: True, wanted.reset_wait + GREET_WITHIN)
    except TimeoutError:
        return link
    except BaseException:
        await link.close()
        raise
    return link


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    port: str
    said: str
    link: Link | None = None


async def _ask(port: str, wanted: Wanted, connect: Connect, opened: list[Link]) -> _Asked:
    """Asks a port who is there; the link stays open if that is who is wanted."""
    try:
        link = await connect(port)
        opened.append(link)
        board = await _heard(link, wanted)
        if wanted.board is not None and (board is None or not board.id) and may_restart(port):
            link = await _started_anew(link, connect)
            opened.append(link)
            board = await _heard(link, wanted)
            note(port, in_vain=board is None or board.id != wanted.board)
    except OSError as error:
        return _Asked(port=port, said=error.strerror or str(error))
    said = f"{port}: {described(board)}"
    if (board is None or not board.id) and wanted.board is not None and wanted.names_the_port:
        _LOGGER.warning(
            "%s: %s; it is taken for %r, which nothing confirms, as port = names it; let it print @hello id=…"
            " when it reads >0 hello",
            port,
            _NOTHING_YET if board is None else "the sketch does not say who it is",
            wanted.board,
        )
        return _Asked(port=port, said=said, link=link)
    if board is None or (wanted.board is not None and board.id != wanted.board):
        await link.close()
        return _Asked(port=port, said=said)
    return _Asked(port=port, said=said, link=link)


async def _started_anew(link: Link, connect: Connect) -> Link:
    """Opens the port again such that its board starts, for it may say who it is at its start alone.

    Raises:
        OSError: The port cannot be opened again.
    """
    with reserved(link.where):
        await link.close()
        await restart(link.where)
        return await connect(link.where)


async def _heard(link: Link, wanted: Wanted) -> Greeted | None:
    """Who is there; None if nobody says so in time."""
    try:
        return await link.greeting(
            lambda found: bool(found.id) or wanted.board is None, wanted.reset_wait + ASK_FOR
        )
    except TimeoutError:
        return link.session.board


async def _chosen(asked: Sequence[_Asked], wanted: Wanted) -> Link:
    links = [each.link for each in asked if each.link is not None]
    if len(links) == 1:
        return links[0]
    said = "; ".join(each.said for each in asked[:_LISTED])
    if not links:
        whom = f"board {wanted.board!r}" if wanted.board else "a board"
        nameless = (
            "; or name its port: port =" if any("does not say who" in each.said for each in asked) else ""
        )
        raise OSError(errno.ENODEV, f"{whom} was not found: {said}{nameless}")
    if wanted.board is None:
        raise OSError(errno.ENOTUNIQ, f'several boards; say which: board = "its id", or port =: {said}')
    raise OSError(
        errno.ENOTUNIQ,
        f"{len(links)} boards say that they are {wanted.board!r}, so none is used; give one another id, or"
        f" say which: port =: {said}",
    )


def described(board: Greeted | None) -> str:
    """Who a board says that it is, for people."""
    if board is None:
        return "says nothing that is understood; is the speed (baud) right?"
    if not board.id and not board.name:
        return "a sketch that does not say who it is; let it print @hello id=… when it reads >0 hello"
    version = f" {board.version}" if board.version else ""
    return f"board {board.id or '(without an id)'}, {board.name}{version}"
