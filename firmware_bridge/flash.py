"""Runs the program that writes a board's firmware: its progress, its time, its last words."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from firmware_bridge.settings import ToolName
from iotxmpp.errors import CommandFailedError, ConfigError

LAST_LINES = 12
"""Lines of the program that an error shows."""

_LONGEST_LINE = 300
_READ = 4096
_END_WITHIN = 3.0
_BAR = 50
_PERCENT = re.compile(r"(?<![\w.])(\d{1,3})(?:\.\d+)? ?%")
_PHASE = re.compile(r"\b(reading|writing|erasing|verifying|erase|download|upload|uploading)\b", re.IGNORECASE)
_LINE = re.compile(r"[\r\n]")

Progress = Callable[[str, float], None]
"""Takes the phase, such as `writing`, and how much of it is done, from 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A program that writes firmware.

    Attributes:
        programs: Its names, the first that is installed is used.
        arguments: Its arguments; `{port}` and `{file}` are replaced, `{more}` by the caller's.
        defaults: Options with their values that are added unless the caller gives the option.
        advice: How it is installed.
    """

    programs: tuple[str, ...]
    arguments: tuple[str, ...]
    defaults: tuple[tuple[str, str], ...] = ()
    advice: str


TOOLS: dict[ToolName, Tool] = {
    "avrdude": Tool(
        programs=("avrdude",),
        arguments=("{more}", "-P", "{port}", "-D", "-U", "flash:w:{file}"),
        defaults=(("-p", "atmega328p"), ("-c", "arduino"), ("-b", "115200")),
        advice="sudo apt install avrdude",
    ),
    "esptool": Tool(
        programs=("esptool", "esptool.py"),
        arguments=("--port", "{port}", "write-flash", "{more}", "{file}"),
        advice="pip install 'esptool>=5'",
    ),
    "dfu-util": Tool(
        programs=("dfu-util",),
        arguments=("{more}", "-R", "-D", "{file}"),
        defaults=(("-a", "0"),),
        advice="sudo apt install dfu-util",
    ),
    "smpclient": Tool(
        programs=("smpmgr",),
        arguments=("--port", "{port}", "{more}", "upgrade", "{file}"),
        advice="pip install smpmgr, the command line of smpclient",
    ),
}
"""The programs that are known. With esptool the caller's arguments must end with the address."""

_ADDRESS = "0x10000"


@dataclass(kw_only=True)
class Said:
    """What a program said: its last lines, and its progress."""

    progress: Progress
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_LINES))
    phase: str = "writing"
    _rest: str = ""
    _shown: tuple[str, int] = ("", -1)

    def take(self, text: str) -> None:
        """Takes what it printed; a line may be drawn again and again, or grow."""
        *lines, rest = _LINE.split(self._rest + text)
        for line in lines:
            self._look(line)
            if line.strip():
                self.lines.append(line.strip()[:_LONGEST_LINE])
        self._rest = rest[-_LONGEST_LINE:]
        self._look(self._rest)

    def last(self) -> list[str]:
        """Its last lines."""
        rest = self._rest.strip()
        return [*self.lines, rest] if rest else list(self.lines)

    def _look(self, line: str) -> None:
        phases = _PHASE.findall(line)
        if phases:
            self.phase = str(phases[-1]).lower()
        percents = _PERCENT.findall(line)
        if percents:
            self._show(int(percents[-1]))
        elif phases and "|" in line:
            self._show(line.count("#") * 100 // _BAR)

    def _show(self, percent: int) -> None:
        shown = (self.phase, min(percent, 100))
        if shown != self._shown:
            self._shown = shown
            self.progress(shown[0], shown[1] / 100)


def command_line(name: ToolName, port: str, file: Path, more: Sequence[str]) -> list[str]:
    """The program with its arguments.

    Raises:
        ConfigError: It is not installed, or the file is not there.
    """
    tool = TOOLS[name]
    program = next((found for each in tool.programs if (found := shutil.which(each))), None)
    if program is None:
        raise ConfigError(f"{tool.programs[0]} is not installed; {tool.advice}")
    if not file.is_file():
        raise ConfigError(f"{file}: no such file; give the firmware to write")
    given = [each.replace("{port}", port).replace("{file}", str(file)) for each in more]
    if name == "esptool" and not any(each.startswith("0x") for each in given):
        given.append(_ADDRESS)
    defaults = [
        word
        for option, value in tool.defaults
        if not any(each == option or (each.startswith(option) and each[:2] != "--") for each in given)
        for word in (option, value)
    ]
    words: list[str] = []
    for each in tool.arguments:
        if each == "{more}":
            words += [*defaults, *given]
        else:
            words.append(each.replace("{port}", port).replace("{file}", str(file)))
    return [program, *words]


async def run_tool(words: Sequence[str], *, timeout: float, quiet: float, progress: Progress) -> list[str]:
    """Runs the program to its end; it is ended if it takes too long, or if this is cancelled.

    Args:
        words: The program and its arguments.
        timeout: Seconds that it may take.
        quiet: Seconds that it may say nothing.
        progress: Takes how far it is.

    Returns:
        Its last lines.

    Raises:
        CommandFailedError: It failed, took too long, or said nothing for too long; with its last lines.
    """
    said = Said(progress=progress)
    name = Path(words[0]).name
    process = await asyncio.create_subprocess_exec(
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(timeout) as whole:
            await _listen(process, said, quiet)
            code = await process.wait()
    except TimeoutError as error:
        why = f"took more than {timeout:g} s" if whole.expired() else f"said nothing for {quiet:g} s"
        raise CommandFailedError(_told(f"{name} {why} and was ended", said)) from error
    finally:
        await _end(process)
    if code != 0:
        raise CommandFailedError(_told(f"{name} failed with code {code}", said))
    return said.last()


async def _listen(process: asyncio.subprocess.Process, said: Said, quiet: float) -> None:
    output = process.stdout
    if output is None:
        return
    while True:
        async with asyncio.timeout(quiet):
            data = await output.read(_READ)
        if not data:
            return
        said.take(data.decode(errors="replace"))


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ends the program and what it started."""
    if process.returncode is not None:
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_WITHIN):
                await process.wait()
                return


def _told(what: str, said: Said) -> str:
    lines = said.last()
    return f"{what}; its last lines: {' / '.join(lines)}" if lines else f"{what}; it said nothing"
