"""Starts a program at a terminal of its own: many say how far they are only there."""

import asyncio
import errno
import fcntl
import os
import struct
import termios
import tty
from collections.abc import Sequence

_ROWS, _COLUMNS = 40, 1000  # where it is too narrow for a file's name, the percents are cut off
_PLAIN = {"TERM": "xterm", "NO_COLOR": "1", "COLUMNS": str(_COLUMNS), "LINES": str(_ROWS)}


class _Output(asyncio.StreamReaderProtocol):
    """What it prints; a terminal that nobody writes to any more ends with EIO, which is its end."""

    def connection_lost(self, exc: Exception | None) -> None:
        is_end = isinstance(exc, OSError) and exc.errno == errno.EIO
        super().connection_lost(None if is_end else exc)


async def start(
    words: Sequence[str],
) -> tuple[asyncio.subprocess.Process, asyncio.StreamReader, asyncio.BaseTransport]:
    """Starts a program, in a process group of its own, without input.

    Args:
        words: The program and its arguments.

    Returns:
        The program; what it and those that it starts print, to the last of them; and what is to be closed.
    """
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", _ROWS, _COLUMNS, 0, 0))
    output = asyncio.StreamReader()
    try:
        terminal, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: _Output(output), os.fdopen(ours, "rb", buffering=0)
        )
    except BaseException:
        os.close(theirs)
        raise
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=theirs,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **_PLAIN},
        )
    except BaseException:
        terminal.close()
        raise
    finally:
        os.close(theirs)
    return process, output, terminal
