"""Runs the program that writes a board's firmware: its progress, its time, its last words."""

import asyncio
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
_LAST_WORDS = 1.0
_STEP = 0.05
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

    Its own end counts: what it started and left behind is ended with it, and not waited for.

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
    process, output, pipe = await _started(words)
    try:
        async with asyncio.timeout(timeout) as whole:
            code = await _followed(process, output, said, quiet)
    except TimeoutError as error:
        why = f"took more than {timeout:g} s" if whole.expired() else f"said nothing for {quiet:g} s"
        raise CommandFailedError(_told(f"{name} {why} and was ended", said)) from error
    finally:
        pipe.close()
        await _end(process)
    if code != 0:
        raise CommandFailedError(_told(f"{name} failed with code {code}", said))
    return said.last()


async def _started(
    words: Sequence[str],
) -> tuple[asyncio.subprocess.Process, asyncio.StreamReader, asyncio.BaseTransport]:
    """Starts the program, in a process group of its own.

    The pipe is ours: asyncio's own keeps `wait` waiting while a child of the program holds it.
    """
    loop = asyncio.get_running_loop()
    ours, theirs = os.pipe()
    output = asyncio.StreamReader()
    pipe, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(output), os.fdopen(ours, "rb", buffering=0)
    )
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=theirs,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    except BaseException:
        pipe.close()
        raise
    finally:
        os.close(theirs)
    return process, output, pipe


async def _followed(
    process: asyncio.subprocess.Process, output: asyncio.StreamReader, said: Said, quiet: float
) -> int:
    """Hears the program until it ends, and returns its code.

    Raises:
        TimeoutError: It said nothing for too long.
    """
    listening = asyncio.create_task(_listen(output, said, quiet))
    ending = asyncio.create_task(process.wait())
    try:
        await asyncio.wait({listening, ending}, return_when=asyncio.FIRST_COMPLETED)
        if ending.done():
            await asyncio.wait({listening}, timeout=_LAST_WORDS)
        else:
            await listening
        return await ending
    finally:
        listening.cancel()
        ending.cancel()
        await asyncio.gather(listening, ending, return_exceptions=True)


async def _listen(output: asyncio.StreamReader, said: Said, quiet: float) -> None:
    while True:
        async with asyncio.timeout(quiet):
            data = await output.read(_READ)
        if not data:
            return
        said.take(data.decode(errors="replace"))


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ends the program, and what it started and left behind: its whole group."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            async with asyncio.timeout(_END_WITHIN):
                await process.wait()
                while True:
                    os.killpg(process.pid, 0)
                    await asyncio.sleep(_STEP)
        except ProcessLookupError:
            return
        except TimeoutError:
            continue


def _told(what: str, said: Said) -> str:
    lines = said.last()
    return f"{what}; its last lines: {' / '.join(lines)}" if lines else f"{what}; it said nothing"
