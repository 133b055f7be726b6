"""Runs the program that writes a board's firmware: its progress, its time, its last words."""

import asyncio
import codecs
import errno
import os
import re
import shutil
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from firmware_bridge.settings import ToolName
from firmware_bridge.toolpty import start
from iotxmpp.errors import CommandFailedError, ConfigError

LAST_LINES = 12
"""Lines of the program that an error shows."""

_LONGEST_LINE = 300
_LONGEST_DRAWN = 2000  # with its colours
_READ = 4096
_END_WITHIN = 3.0
_LAST_WORDS = 1.0
_STEP = 0.05
_BAR = 50
_PERCENT = re.compile(r"(?<![\w.])(\d{1,3})(?:\.\d+)? ?%")
_PHASE = re.compile(r"\b(reading|writing|erasing|verifying|erase|download|upload|uploading)\b", re.IGNORECASE)
_END = re.compile(r"\r?\n")
_CONTROL = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_]|\[?[0-?]*$)|[\x00-\x08\x0e-\x1f]"
)

Progress = Callable[[str, float], None]
"""Takes the phase, such as `writing`, and how much of it is done, from 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A program that writes firmware.

    Attributes:
        programs: Its names, the first that is installed is used.
        arguments: Its arguments; `{port}` and `{file}` are replaced, `{more}` by the caller's, and `{early}`
            by those of them that stand before its command.
        early: The options that do, with the number of their values.
        defaults: Options with their values that are added unless the caller gives the option.
        advice: How it is installed.
    """

    programs: tuple[str, ...]
    arguments: tuple[str, ...]
    early: Mapping[str, int] = field(default_factory=dict)
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
        arguments=("--port", "{port}", "{early}", "write-flash", "{more}", "{file}"),
        early={
            **dict.fromkeys(("-c", "--chip", "-b", "--baud", "--before", "-a", "--after"), 1),
            **dict.fromkeys(("--port-filter", "--override-vddsdio", "--connect-attempts"), 1),
            **dict.fromkeys(("--no-stub", "-t", "--trace", "-v", "--verbose", "--silent"), 0),
        },
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
        arguments=("--port", "{port}", "{early}", "upgrade", "{more}", "{file}"),
        early=dict.fromkeys(
            (
                "--timeout",
                "--mtu",
                "--baudrate",
                "--line-length",
                "--line-buffers",
                "--loglevel",
                "--logfile",
                "--plugin-path",
            ),
            1,
        ),
        advice="pip install smpmgr, the command line of smpclient",
    ),
}
"""The programs that are known, as of esptool 5.6 and smpmgr 0.19.

With esptool the caller's arguments must end with the address.
"""

_ADDRESS = "0x10000"


@dataclass(kw_only=True)
class Said:
    """What a program said: its last lines, and its progress."""

    progress: Progress
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_LINES))
    phase: str = "writing"
    _rest: str = ""
    _line: str = ""
    _shown: tuple[str, int] = ("", -1)

    def take(self, text: str) -> bool:
        """Takes what it printed; a line may be drawn again and again, or grow.

        Returns:
            Whether it is news: a line that is drawn again is none as long as its percents are the same.
        """
        shown, before = self._shown, self._line
        *lines, rest = _END.split(self._rest + text)
        for line in lines:
            drawn = self._drawn(line)
            if drawn:
                self.lines.append(drawn[:_LONGEST_LINE])
        self._line = self._drawn(rest)
        is_other = self._line != before and not _PERCENT.search(self._line)
        *_, last = rest.rstrip("\r").rpartition("\r")
        self._rest = last[-_LONGEST_DRAWN:] + "\r" * rest.endswith("\r")
        return bool(lines) or "\r" not in text or is_other or self._shown != shown

    def last(self) -> list[str]:
        """Its last lines."""
        rest = _plain(self._rest)
        return [*self.lines, rest] if rest else list(self.lines)

    def _drawn(self, line: str) -> str:
        """What is left of a line that was drawn, perhaps more than once."""
        found = [_plain(each) for each in line.split("\r")]
        for each in found:
            self._look(each)
        return next((each for each in reversed(found) if each), "")

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


def _plain(text: str) -> str:
    """Without colours and moves of the cursor, also one that is not complete."""
    return _CONTROL.sub("", text).strip()


def is_address(argument: str) -> bool:
    """Whether it is an address in flash, as esptool takes one."""
    return argument.startswith("0x")


def command_line(name: ToolName, port: str, file: Path, more: Sequence[str]) -> list[str]:
    """The program with its arguments.

    Raises:
        ConfigError: It is not installed, or the file is not there or cannot be looked at.
    """
    tool = TOOLS[name]
    program = next((found for each in tool.programs if (found := _found(each))), None)
    if program is None:
        raise ConfigError(f"{tool.programs[0]} is not installed; {tool.advice}")
    try:
        is_there = file.is_file()
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}; give the firmware to write") from error
    if not is_there:
        raise ConfigError(f"{file}: no such file; give the firmware to write")
    given = [each.replace("{port}", port).replace("{file}", str(file)) for each in more]
    if name == "esptool" and not any(is_address(each) for each in given):
        given.append(_ADDRESS)
    defaults = [
        word
        for option, value in tool.defaults
        if not any(each == option or (each.startswith(option) and each[:2] != "--") for each in given)
        for word in (option, value)
    ]
    early, late = _parted(given, tool.early)
    words: list[str] = []
    for each in tool.arguments:
        if each == "{early}":
            words += early
        elif each == "{more}":
            words += [*defaults, *late]
        else:
            words.append(each.replace("{port}", port).replace("{file}", str(file)))
    return [program, *words]


def _found(program: str) -> str | None:
    """Where a program is: on the path, or where pip puts it, which a service's path lacks."""
    return shutil.which(program) or shutil.which(program, path=str(Path(sys.prefix) / "bin"))


def _parted(given: Sequence[str], early: Mapping[str, int]) -> tuple[list[str], list[str]]:
    """The arguments that stand before the program's command, and the others."""
    before: list[str] = []
    after: list[str] = []
    rest = deque(given)
    while rest:
        word = rest.popleft()
        option = word.partition("=")[0] if word.startswith("--") else word[:2]
        if option not in early:
            after.append(word)
            continue
        before.append(word)
        if word == option:
            before += [rest.popleft() for _ in range(min(early[option], len(rest)))]
    return before, after


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
        ConfigError: It cannot be started.
        CommandFailedError: It failed, took too long, or said nothing for too long; with its last lines.
    """
    said = Said(progress=progress)
    name = Path(words[0]).name
    try:
        process, output, terminal = await start(words)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{words[0]}: cannot be started: {_why_not(error)}") from error
    try:
        async with asyncio.timeout(timeout) as whole:
            code = await _followed(process, output, said, quiet)
    except TimeoutError as error:
        why = f"took more than {timeout:g} s" if whole.expired() else f"said nothing new for {quiet:g} s"
        raise CommandFailedError(_told(f"{name} {why} and was ended", said)) from error
    finally:
        terminal.close()
        await _end(process)
    if code != 0:
        raise CommandFailedError(_told(f"{name} failed with code {code}", said))
    return said.last()


def _why_not(error: OSError | ValueError) -> str:
    """Why a program cannot be started, and what to do."""
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.ENOENT:
        return "it, or the interpreter that its first line names, is not there; install it anew"
    if number == errno.ENOEXEC:
        return "it is no program, or one for another kind of machine; install it anew"
    text = error.strerror if isinstance(error, OSError) else None
    return f"{text or error}; mend that and try again"


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
    loop, decode = asyncio.get_running_loop(), codecs.getincrementaldecoder("utf-8")("replace").decode
    async with asyncio.timeout(quiet) as silence:
        while data := await output.read(_READ):
            if said.take(decode(data)):
                silence.reschedule(loop.time() + quiet)


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
