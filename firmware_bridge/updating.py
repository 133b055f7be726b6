"""A firmware update from end to end: write, find the board again, and believe its hello alone."""

import asyncio
import errno
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import JsonValue

from firmware_bridge.binding import FIRMWARE_UPDATE
from firmware_bridge.board import BoardSession
from firmware_bridge.candidates import ports_of
from firmware_bridge.events import Greeted
from firmware_bridge.finding import ASK_FOR, GREET_WITHIN, MOST_PORTS
from firmware_bridge.flash import Progress, command_line, run_tool
from firmware_bridge.link import Link
from firmware_bridge.port import open_port
from firmware_bridge.reserving import reserved
from firmware_bridge.restarting import has_lines, restart
from firmware_bridge.settings import FlashSettings, SerialSettings
from iotxmpp.errors import ArgumentsError, CommandError, CommandFailedError, ConfigError
from iotxmpp.profiles import Profile
from iotxmpp.readings import Value

STILL_OLD = 3.0
"""Seconds that a board with another version has, to start anew with the expected one."""

_PAUSE = 0.25
_LOGGER = logging.getLogger(__name__)

_SNIPPET = (
    '[commands.firmware-update] with role = "admin", timeout = 400, args.file = { type = "str" } and'
    ' args.expect = { type = "str" }'
)


@dataclass(frozen=True, kw_only=True)
class Update:
    """What is to be written, and what then counts as success.

    Attributes:
        port: The port; for a pattern or none, where the board is looked for afterwards.
        baud: Bits a second of the board's own program.
        board: The id that it must say; None for any.
        file: The firmware.
        expect: The version that its hello must say.
        flash: The program, and its times.
        reset_wait: Seconds that the board may take to start.
        repeat: Whether the version may be the one that runs already.
    """

    port: str
    baud: int
    board: str | None
    file: Path
    expect: str
    flash: FlashSettings
    reset_wait: float = 2.0
    repeat: bool = False


def check_update(profile: Profile, flash: FlashSettings | None) -> None:
    """Raises ConfigError if the profile lacks the command that the driver then serves."""
    if flash is None:
        return
    command = profile.commands.get(FIRMWARE_UPDATE)
    if command is None or not {"file", "expect"} <= command.args.keys():
        raise ConfigError(
            f"driver serial: flash: profile {profile.id} has no command {FIRMWARE_UPDATE} with the arguments"
            f" file and expect; add {_SNIPPET}"
        )


async def update_firmware(
    settings: SerialSettings, port: str, arguments: Mapping[str, Value], *, known: Greeted | None = None
) -> JsonValue:
    """Carries out the command of an agent; its port is free meanwhile.

    Args:
        settings: The driver's.
        port: Where the board was.
        arguments: `file`, a name in the settings' folder; `expect`, the version; and `again` if the profile
            has it: whether that version may be the one that runs already.
        known: What the board said of itself so far; None for nothing.

    Raises:
        ArgumentsError: The file's name leads out of its folder; nothing was started.
        CommandFailedError: It did not come to a hello with that version; the text says why.
    """
    flash = settings.flash
    if flash is None:
        raise ConfigError("driver serial: no flash settings; add [driver.flash]")
    name = str(arguments["file"])
    if Path(name).name != name or name.startswith("."):
        raise ArgumentsError(
            f"{FIRMWARE_UPDATE}: file: {name!r} is no plain name of a file in {flash.folder}"
        )
    where = port or settings.port
    if where is None:
        raise CommandFailedError("the board was not there; plug it in and call again")
    update = Update(
        port=where,
        baud=settings.baud,
        board=settings.board,
        file=flash.folder / name,
        expect=str(arguments["expect"]),
        flash=flash,
        reset_wait=settings.reset_wait,
        repeat=arguments.get("again") is True,
    )
    board = await carry_out(update, _log_progress(), again=settings.port, known=known)
    return {"version": board.version}


async def carry_out(
    update: Update, progress: Progress, *, again: str | None = None, known: Greeted | None = None
) -> Greeted:
    """Writes the firmware, and waits for the board's new hello; the port is kept for it meanwhile.

    Args:
        update: What to do.
        progress: Takes how far the writing is.
        again: Where else the board may be afterwards, as the driver's `port`; None for every candidate.
        known: What the board said of itself so far; it counts unless the board says more now.

    Returns:
        What the board says afterwards.

    Raises:
        ConfigError: The program is not installed or cannot be started, or the file is not there.
        CommandError: The port is held by another program; nothing was started.
        CommandFailedError: The program failed, or the board does not say the expected version, or nothing
            shows that it did not say that before.
    """
    words = command_line(update.flash.tool, update.port, update.file, update.flash.arguments)
    with ExitStack() as kept:
        try:
            kept.enter_context(reserved(update.port))
            before = await _said(update.port, update, start=known is None) or known
        except OSError as error:
            raise CommandError(f"{FIRMWARE_UPDATE}: not started: {error.strerror or error}") from error
        return await _written(words, update, progress, before, again)


async def _written(
    words: Sequence[str], update: Update, progress: Progress, before: Greeted | None, again: str | None
) -> Greeted:
    there = frozenset(ports_of(again))
    last = await run_tool(words, timeout=update.flash.timeout, quiet=update.flash.quiet, progress=progress)
    search = _Search(update, before, again, there)
    found = await search.hello()
    if found is not None and is_proof(found, before, update):
        if before is not None or update.repeat or await _says_it_now(search.where, update):
            return found
        raise CommandFailedError(
            f"{update.flash.tool} ended well, and the board {found.id} says version {found.version}, but"
            " whether it ran that before is not known: asked then it said nothing, as it does now; let the"
            " sketch print its hello when it reads >0 hello, or say that the same version may be meant:"
            " --again, or the argument again=true of the command"
        )
    if found is None:
        what = f"the board gave no hello within {update.flash.hello_within:g} s"
    elif found.version == update.expect:
        raise CommandFailedError(
            f"{update.flash.tool} ended well, but the board {found.id} already ran that version,"
            f" {found.version}, and nothing shows that it was written now; raise the sketch's version, or say"
            " that the same one is meant: --again, or the argument again=true of the command"
        )
    else:
        what = f"the board {found.id} says version {found.version or '(none)'}, not {update.expect}"
    raise CommandFailedError(
        f"{update.flash.tool} ended well, but {what}; is it the right file, and does the sketch say its"
        f" version? Its last lines: {' / '.join(last[-4:]) or 'none'}"
    )


def is_proof(found: Greeted, before: Greeted | None, update: Update) -> bool:
    """Whether a hello shows that the new firmware runs.

    It says the expected version, and another one was said before, unless the same version is meant. Another
    start of the board shows nothing: opening its port is enough for that. If nothing was said before, it is
    none by itself: see `carry_out`.
    """
    if found.version != update.expect:
        return False
    return before is None or update.repeat or before.version != found.version


async def _said(port: str, update: Update, *, start: bool) -> Greeted | None:
    """What the board at a port says when it is asked; None if it says nothing.

    Args:
        port: The port.
        update: What is to be done.
        start: Whether to start it anew if it says nothing, for it may say who it is at its start alone.

    Raises:
        OSError: The port is held by another program, or cannot be kept from others.
    """
    loop = asyncio.get_running_loop()
    within = update.reset_wait + GREET_WITHIN
    said = await _asked(port, update, loop.time() + within, held=True)
    if said is None and start and has_lines(port):
        await restart(port)
        said = await _asked(port, update, loop.time() + within, held=True)
    return said


async def _says_it_now(port: str, update: Update) -> bool:
    """Whether a board that said nothing before the writing says the version when it is asked likewise."""
    try:
        said = await _said(port, update, start=True)
    except OSError:
        return False
    return said is not None and said.version == update.expect


class _Search:
    """Looks for the hello that counts, at every port where the board may be.

    Args:
        update: What was done.
        before: What the board said before; None for nothing.
        again: Where else it may be, as the driver's `port`: native USB may come back under another name.
        there: The ports that were there before.

    Attributes:
        where: The port of the hello that was found last.
    """

    def __init__(
        self, update: Update, before: Greeted | None, again: str | None, there: frozenset[str]
    ) -> None:
        self._update, self._before, self._again = update, before, again
        self._there = there
        self.where = update.port
        self._id = update.board or (before.id if before is not None else "")
        self._strangers: set[str] = set()

    async def hello(self) -> Greeted | None:
        """The hello that counts, or the last other one; None for none in time."""
        loop = asyncio.get_running_loop()
        limit = loop.time() + self._update.flash.hello_within
        seen: Greeted | None = None
        while loop.time() < limit:
            for found in await self._round(limit):
                if is_proof(found, self._before, self._update):
                    return found
                if seen is None:
                    limit = min(limit, loop.time() + STILL_OLD)
                seen = found
            await asyncio.sleep(_PAUSE)
        return seen

    async def _round(self, limit: float) -> list[Greeted]:
        """Asks all the ports at once; the proof alone as soon as it is there, else what our board says."""
        asking = [asyncio.create_task(self._ask(port, limit)) for port in self._ports()]
        heard: list[Greeted] = []
        try:
            for done in asyncio.as_completed(asking):
                found = await done
                if found is not None and is_proof(found, self._before, self._update):
                    return [found]
                if found is not None:
                    heard.append(found)
        finally:
            for each in asking:
                each.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
        return heard

    def _ports(self) -> Iterable[str]:
        """Where it may be. Without an id, a port that was there before may be another board's."""
        others = [
            port
            for port in ports_of(self._again)
            if port not in self._strangers and (self._id or port not in self._there)
        ]
        return dict.fromkeys([self._update.port, *others[:MOST_PORTS]])

    async def _ask(self, port: str, limit: float) -> Greeted | None:
        """What our board says at a port; None for another board, or none."""
        found = await _asked(port, self._update, limit)
        if found is None:
            return None
        if self._id and found.id != self._id and (self._update.board or port != self._update.port):
            if port != self._update.port:
                self._strangers.add(port)
            return None
        self.where = port
        return found


async def _asked(port: str, update: Update, limit: float, *, held: bool = False) -> Greeted | None:
    """What the board at a port says of itself; None if it says nothing, or the port is not there.

    Raises:
        OSError: Another program holds the port, if that is to be told.
    """
    loop = asyncio.get_running_loop()
    link = Link(port, BoardSession(), lambda _events: None)
    try:
        within = min(limit - loop.time(), update.reset_wait + ASK_FOR)
        await link.open(partial(open_port, port, update.baud), update.reset_wait)
        return await link.greeting(lambda board: bool(board.version), within)
    except TimeoutError:
        return None
    except OSError as error:
        if held and error.errno == errno.EBUSY:
            raise
        return None
    finally:
        await link.close()


def _log_progress() -> Callable[[str, float], None]:
    """Logs each quarter."""
    said: set[tuple[str, int]] = set()

    def progress(phase: str, share: float) -> None:
        quarter = (phase, int(share * 4) * 25)
        if quarter not in said:
            said.add(quarter)
            _LOGGER.info("firmware update: %s %d %%", *quarter)

    return progress
