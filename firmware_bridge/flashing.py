"""Firmware from the command line, while no agent runs: what to do by its options, and doing it."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import device_profiles
from firmware_bridge.board import BoardSession
from firmware_bridge.finding import Wanted, find
from firmware_bridge.flash import Progress, is_address
from firmware_bridge.link import Link
from firmware_bridge.port import open_port
from firmware_bridge.reserving import reserved
from firmware_bridge.settings import FlashSettings, SerialSettings, ToolName
from firmware_bridge.updating import Update, carry_out
from iotxmpp.agent.drivers import check_settings
from iotxmpp.errors import CommandFailedError, ConfigError
from iotxmpp.tables import parse_table, read_text

_USAGE = "give PORT FILE, or --agent agent.toml FILE"
_AGENT = "while an agent runs, call its command firmware-update instead"


def planned(  # noqa: PLR0913  # the options of the command line
    words: Sequence[str],
    *,
    agent: Path | None,
    tool: str | None,
    expect: str,
    baud: int | None,
    timeout: float | None,
    again: bool = False,
) -> tuple[Update, SerialSettings]:
    """What to do.

    Args:
        words: The port unless there is an agent's file, the firmware's file, and arguments for the tool, in
            addition to those of the agent's file.
        agent: The agent's file of the device.
        tool: The program; the agent's unless given.
        expect: The version that the board must say.
        baud: The speed of the board's own program; the agent's unless given.
        timeout: Seconds that the tool may take; the agent's unless given.
        again: Whether the version may be the one that runs already.

    Raises:
        ConfigError: An option is missing or wrong.
    """
    needed = 1 if agent is not None else 2
    if len(words) < needed:
        raise ConfigError(f"iotxmpp serial flash: {_USAGE}")
    settings = _settings(agent) if agent is not None else SerialSettings(port=words[0])
    flash = _flash(settings.flash, tool, timeout)
    more = tuple(words[needed:])
    if more:
        flash = flash.model_copy(update={"arguments": _joined(flash, more)})
    if baud is not None:
        settings = settings.model_copy(update={"baud": baud})
    update = Update(
        port="",
        baud=settings.baud,
        board=settings.board,
        file=Path(words[needed - 1]),
        expect=expect,
        flash=flash,
        reset_wait=settings.reset_wait,
        repeat=again,
    )
    return update, settings


async def flash_now(update: Update, settings: SerialSettings, progress: Progress) -> str:
    """Does it, and returns the version that the board says.

    Raises:
        ConfigError: The program is not installed or cannot be started, or the file is not there.
        CommandFailedError: It did not come to a hello with that version, or the port is held.
    """
    with ExitStack() as kept:
        try:
            port = await _free_port(settings, kept)
        except OSError as error:
            hint = (
                "; while an agent runs, call its command firmware-update instead" if _is_held(error) else ""
            )
            raise CommandFailedError(f"{error.strerror or error}{hint}") from error
        board = await carry_out(replace(update, port=port), progress, again=settings.port)
    return board.version


async def _free_port(settings: SerialSettings, kept: ExitStack) -> str:
    """The board's port, which nobody holds, and nobody else opens until what is kept ends."""

    async def connect(port: str) -> Link:
        link = Link(port, BoardSession(), lambda _events: None)
        await link.open(partial(open_port, port, settings.baud), settings.reset_wait)
        return link

    if settings.port is not None and settings.board is None:
        # Who is there does not matter: it may have no program yet. That the port opens does.
        link = await connect(settings.port)
    else:
        wanted = Wanted(port=settings.port, board=settings.board, reset_wait=settings.reset_wait)
        link = await find(wanted, connect)
    try:
        kept.enter_context(reserved(link.where))
    finally:
        await link.close()
    return link.where


def _settings(agent: Path) -> SerialSettings:
    """The driver's settings of an agent's file."""
    table = parse_table(read_text(agent), f"agent file {agent}")
    name, driver = table.get("profile"), table.get("driver", {})
    if not isinstance(name, str) or not isinstance(driver, dict):
        raise ConfigError(f"agent file {agent}: it has no profile; see docs/profiles.md")
    beside = name.endswith(".toml")
    profile = device_profiles.load_file(agent.parent / name) if beside else device_profiles.load(name)
    merged: dict[str, Any] = {**profile.driver.settings, **driver}
    kind = merged.pop("kind", profile.driver.kind)
    if kind != "serial":
        raise ConfigError(f"agent file {agent}: its driver is {kind}, not serial; give PORT instead")
    return check_settings(SerialSettings, merged, "serial")


def _flash(known: FlashSettings | None, tool: str | None, timeout: float | None) -> FlashSettings:
    more: dict[str, Any] = {} if timeout is None else {"timeout": timeout}
    if tool is None:
        if known is None:
            raise ConfigError(f"which program writes the firmware? --tool {'|'.join(get_args(ToolName))}")
        return known.model_copy(update=more)
    if tool not in get_args(ToolName):
        raise ConfigError(f"--tool {tool}: use one of {', '.join(get_args(ToolName))}")
    if known is not None and known.tool == tool:
        return known.model_copy(update=more)
    return check_settings(FlashSettings, {"tool": tool, **more}, "serial: flash")


def _joined(flash: FlashSettings, more: tuple[str, ...]) -> tuple[str, ...]:
    """The tool's arguments, then more; of esptool's addresses the later counts, and it stays the last."""
    known = flash.arguments
    if flash.tool == "esptool" and known and is_address(known[-1]):
        known, address = known[:-1], known[-1:]
        return (*known, *more) if is_address(more[-1]) else (*known, *more, *address)
    return (*known, *more)


def _is_held(error: OSError) -> bool:
    return "held by" in str(error)
