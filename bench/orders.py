"""How the bench talks with a process: who it is on the first line in, then a line for each order.

Nothing of iotxmpp is imported here: the raw end of the bench uses it too.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

_LONGEST = 2**24
"""Bytes of a line: an identity may be of hundreds of devices."""


class Orders:
    """The process's side: its standard input and output."""

    def __init__(self, lines: asyncio.StreamReader) -> None:
        self._lines = lines

    @classmethod
    async def open(cls) -> "Orders":
        """Starts to read."""
        lines = asyncio.StreamReader(limit=_LONGEST)
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
        )
        return cls(lines)

    async def identity(self) -> dict[str, Any]:
        """Who to be; the first line."""
        given: dict[str, Any] = json.loads(await self._lines.readline())
        return given

    def ready(self, jid: str) -> None:
        """Says that the device is online, as this JID."""
        print(jid, flush=True)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Each order, such as a line for a reading that is asked for, until the bench ends."""
        while line := await self._lines.readline():
            yield line
