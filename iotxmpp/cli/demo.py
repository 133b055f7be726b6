"""`iotxmpp demo`: a server, devices and a controller on this machine, live in the terminal."""

import asyncio
import os
import re
from contextlib import AsyncExitStack
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iotxmpp.cli.options import checked_seconds
from iotxmpp.cli.output import speaks_utf
from iotxmpp.errors import ConfigError, IotxmppError
from iotxmpp.xmltext import printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from iotxmpp.demo.stage import Stage
    from iotxmpp.demo.story import Play, Story

_REFRESH = 0.5
_PICTURE_WIDTH = 120
_WITHOUT_SERVER = "or play without one: iotxmpp demo --server memory"
_FONT = re.compile(r"[ \t]*@font-face\s*\{[^}]*\}\s*?\n")
"""What would make a picture's reader ask another host for a font."""


def demo(
    server: Annotated[
        str, typer.Option(help="prosody, ejabberd or memory; default: the server that is installed.")
    ] = "",
    seconds: Annotated[
        float | None,
        typer.Option(
            help="End by itself after so many seconds, with a summary.", min=3, callback=checked_seconds
        ),
    ] = None,
    metrics_port: Annotated[int, typer.Option(help="Port of the Prometheus metrics; 0 chooses.")] = 0,
    picture: Annotated[Path | None, typer.Option(help="Write the last table as an SVG picture.")] = None,
) -> None:
    """Run a server, five devices and a controller, and call a command on each device."""
    if picture is not None:
        check_picture(picture)
    asyncio.run(_demo(_stage(server), seconds, metrics_port, picture))


def _stage(server: str) -> "Stage":
    from iotxmpp.cli.server import KINDS, chosen_kind
    from iotxmpp.demo.stage import MemoryStage, ServerStage
    from iotxmpp.server import ServerMissingError, install_hint, installed

    if server == "memory":
        return MemoryStage()
    if server and server not in KINDS:
        raise ConfigError(f"server {server!r}: choose {', '.join(KINDS)} or memory")
    try:
        kind = chosen_kind(server)
    except ConfigError as error:
        raise ConfigError(f"{error}; {_WITHOUT_SERVER}") from error
    if not installed(kind):
        raise ServerMissingError(f"{install_hint(kind)}; {_WITHOUT_SERVER}")
    return ServerStage(kind)


async def _demo(stage: "Stage", seconds: float | None, metrics_port: int, picture: Path | None) -> None:
    from rich.console import Console

    from iotxmpp.cli.signals import stopping, unless
    from iotxmpp.demo.story import Play

    console = Console(emoji=False)
    console.print("starting a server and devices; Ctrl+C ends the demo")
    async with stopping() as stop, AsyncExitStack() as stack:
        if not await unless(stop, stack.enter_async_context(stage)):
            raise IotxmppError("the demo was stopped before it began")
        play = Play(stage, metrics_port=metrics_port)
        async with play.controller:
            shown = asyncio.create_task(_show(console, stage, play))
            try:
                await play.act(stop, seconds)
            finally:
                shown.cancel()
                await asyncio.gather(shown, return_exceptions=True)
            last, drawn = _table(stage, play, utf=speaks_utf(console.encoding)), _table(stage, play, utf=True)
        await play.end()
    if not console.is_terminal:
        console.print(last)
    _summarise(console, play.story)
    faults = [*play.story.faults(), *_killed(stage)]
    if picture is not None:
        faults += _draw(drawn, picture, failed=bool(faults))
    if faults:
        raise IotxmppError("the demo failed: " + "; ".join(faults))


async def _show(console: "Console", stage: "Stage", play: "Play") -> None:
    """Draws the table again and again, if somebody looks on."""
    from rich.live import Live

    if not console.is_terminal:
        return
    utf = speaks_utf(console.encoding)
    with Live(console=console, auto_refresh=False) as live:
        try:
            while True:
                live.update(_table(stage, play, utf=utf), refresh=True)
                await asyncio.sleep(_REFRESH)
        finally:
            live.update(_table(stage, play, utf=utf), refresh=True)


def check_picture(picture: Path) -> None:
    """Finds out before the demo whether its picture can be written, and leaves the file as it is.

    Raises:
        ConfigError: It cannot.
    """
    if not picture.parent.is_dir():
        raise ConfigError(f"picture {picture}: there is no folder {picture.parent}")
    existed = picture.exists()
    try:
        # Without O_NONBLOCK, a pipe that nobody reads would be waited for.
        os.close(os.open(picture, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o666))
        if not existed:
            picture.unlink()
    except OSError as error:
        raise _picture_error(picture, error) from error


def _picture_error(picture: Path, error: OSError) -> ConfigError:
    return ConfigError(f"picture {picture}: cannot be written: {error.strerror}")


def _draw(table: "RenderableType", picture: Path, *, failed: bool) -> list[str]:
    """Draws the picture; that it cannot be written is one more fault of a demo that failed anyway."""
    try:
        picture.write_text(picture_of(table), encoding="utf-8")
    except OSError as error:
        if failed:
            return [str(_picture_error(picture, error))]
        raise _picture_error(picture, error) from error
    return []


def picture_of(table: "RenderableType") -> str:
    """The table as SVG, which names no other host's fonts."""
    from rich.console import Console

    console = Console(record=True, file=StringIO(), width=_PICTURE_WIDTH, emoji=False)
    console.print(table)
    return _FONT.sub("", console.export_svg(title="iotxmpp demo"))


def _killed(stage: "Stage") -> list[str]:
    from iotxmpp.demo.stage import STOPS_WITHIN

    return [f"{name}: did not end within {STOPS_WITHIN:g} s, and was killed" for name in stage.stubborn]


def _table(stage: "Stage", play: "Play", *, utf: bool) -> "RenderableType":
    from iotxmpp.cli.table import fleet_table

    metrics = play.controller.metrics_url
    return fleet_table(
        play.controller.devices,
        title=f"iotxmpp demo: {stage.where}",
        caption=f"metrics for Prometheus: {metrics}" if metrics else "",
        last=lambda name: _command(play.story, name, utf=utf),
    )


def _command(story: "Story", name: str, *, utf: bool) -> str:
    device = story.devices.get(name)
    if device is None:
        return ""
    if device.failure:
        return f"{device.role.call}\nfailed: {printable(device.failure)}"
    arrow, dots = ("→", "…") if utf else ("->", "...")
    return f"{device.role.call}\n{arrow} {dots if device.answer is None else printable(device.answer)}"


def _summarise(console: "Console", story: "Story") -> None:
    seen = sum(device.readings > 0 for device in story.devices.values())
    answered = sum(device.answer is not None for device in story.devices.values())
    console.print(
        f"{seen} of {len(story.devices)} devices seen, "
        f"{sum(device.readings for device in story.devices.values())} readings, {story.rejected} rejected, "
        f"{answered} of {len(story.devices)} commands answered"
    )
