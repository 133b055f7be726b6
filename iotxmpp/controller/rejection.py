"""A rejection: something that a device sent and that failed validation, kept with its reason."""

import time
from dataclasses import dataclass
from typing import Literal, get_args

from iotxmpp.xmltext import printable

Code = Literal[
    "form",
    "forged-publisher",
    "too-large",
    "senml",
    "identity",
    "unknown-channel",
    "type",
    "unit",
    "range",
    "time",
    "numbers",
    "store",
    "about",
    "status",
    "twin",
    "model",
]
"""Why something was rejected; a small closed set, fit for a metric's label."""

CODES: tuple[Code, ...] = get_args(Code)

MAX_PAYLOAD = 64 * 1024
MAX_ERROR = 1024
MAX_NAME = 256
_CUT = "… (cut)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejection:
    """What was rejected, and why.

    Attributes:
        device: The device's id.
        node: The node that it came by; `presence` for a status.
        item: The item's id; empty for none.
        publisher: Who published it, as the service stamped it; None where it stamped none.
        code: Why, for programs.
        error: Why, for people; one line.
        payload: What was rejected, as text; cut after 64 KiB.
        time: When it came, by this machine's clock, in seconds since 1970.
    """

    device: str
    node: str
    item: str
    publisher: str | None
    code: Code
    error: str
    payload: str
    time: float

    def __str__(self) -> str:
        return f"{self.device}: {self.node} item {self.item!r}: {self.code}: {self.error}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where something came from.

    Attributes:
        device: The device's id.
        node: The node; `presence` for a status.
        item: The item's id; empty for none.
        publisher: Who published it, as the service stamped it.
    """

    device: str
    node: str
    item: str = ""
    publisher: str | None = None

    def rejection(self, code: Code, error: object, payload: str) -> Rejection:
        """A rejection of what came from here, its texts bounded and safe to print."""
        return Rejection(
            device=self.device,
            node=_line(self.node, MAX_NAME),
            item=_line(self.item, MAX_NAME),
            publisher=None if self.publisher is None else _line(self.publisher, MAX_NAME),
            code=code,
            error=_line(str(error), MAX_ERROR),
            payload=bounded(payload, MAX_PAYLOAD),
            time=time.time(),
        )


def bounded(text: str, most: int) -> str:
    """The text as encodable UTF-8 without NUL, cut to at most so many bytes."""
    data = text[:most].replace("\0", "\\x00").encode("utf-8", "backslashreplace")
    if len(text) <= most and len(data) <= most:
        return data.decode()
    return data[: most - len(_CUT.encode())].decode("utf-8", "ignore") + _CUT


def _line(text: str, most: int) -> str:
    """One line of printable text, cut to at most so many bytes."""
    line = printable(text[:most])
    return bounded(line if len(text) <= most else line + _CUT, most)
