"""Text lines from any sketch: `temperature=21.5 humidity=40`. No I/O, only bytes to values.

A line holds pairs of a channel and its value; or `#` and a log message; or `!`, an event's name and its text;
or nothing. Values are numbers, `true` and `false`, and words; text with spaces stands in double quotes. A
line may end with ` *` and four hexadecimal digits: the CRC-16/GENIBUS of all bytes before that space.
"""

import binascii
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from iotxmpp.errors import InvalidError
from iotxmpp.readings import Value

LONGEST = 512
"""Bytes that a line may have, its end not counted."""

_CHECKED = re.compile(rb"(.*) \*([0-9A-Fa-f]{4})", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]")
_PAIR = re.compile(r'([A-Za-z0-9][A-Za-z0-9:./_-]{0,62})=("[^"]*"|[^\s"=]+)(?:[ \t]+|$)')
_EVENT = re.compile(r"![ \t]*([A-Za-z0-9][A-Za-z0-9:./_-]{0,62})(?:[ \t]+(.*))?")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[+-]?(nan|inf|infinity|ovf)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Values:
    """Values by channel."""

    values: Mapping[str, Value]


@dataclass(frozen=True, kw_only=True, slots=True)
class Log:
    """What the sketch says to people."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something that happened, by its name."""

    name: str
    text: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ignored:
    """A blank line."""


Line = Values | Log | Event | Ignored


def parse_line(line: bytes) -> Line:
    """What a line says, with or without its line end.

    Raises:
        InvalidError: It is too long, no UTF-8, damaged, or of no known form.
    """
    body = line.rstrip(b"\r\n")
    if len(body) > LONGEST:
        raise InvalidError(f"line: {len(body)} bytes, at most {LONGEST}; send shorter lines")
    checked = _CHECKED.fullmatch(body)
    if checked is not None:
        body = checked[1]
        if binascii.crc_hqx(body, 0xFFFF) ^ 0xFFFF != int(checked[2], 16):
            raise InvalidError(f"line {line[:80]!r}: damaged, its check does not fit")
    try:
        text = body.decode().strip(" \t")
    except UnicodeDecodeError as error:
        raise InvalidError(
            f"line {line[:80]!r}: byte {error.start} is no UTF-8; is the speed right?"
        ) from error
    if _CONTROL.search(text):
        raise InvalidError(f"line {line[:80]!r}: holds a control character; is the speed right?")
    if not text:
        return Ignored()
    if text.startswith("#"):
        return Log(text=text[1:].strip())
    return _event(text) if text.startswith("!") else _values(text)


def _event(text: str) -> Event:
    match = _EVENT.fullmatch(text)
    if match is None:
        raise InvalidError(f"line {text[:80]!r}: expected an event's name after !, such as !pressed")
    return Event(name=match[1], text=match[2] or "")


def _values(text: str) -> Values:
    values: dict[str, Value] = {}
    position = 0
    while position < len(text):
        match = _PAIR.match(text, position)
        if match is None:
            raise InvalidError(
                f"line {text[:80]!r}: expected name=value at {text[position : position + 20]!r}"
            )
        if match[1] in values:
            raise InvalidError(f"line {text[:80]!r}: {match[1]} stands there twice")
        values[match[1]] = _value(match[1], match[2])
        position = match.end()
    return Values(values=values)


def _value(name: str, text: str) -> Value:
    if text.startswith('"'):
        return text[1:-1]
    if text in ("true", "false"):
        return text == "true"
    if _INTEGER.fullmatch(text):
        return int(text)
    number = float(text) if _NUMBER.fullmatch(text) else None
    if _NO_NUMBER.fullmatch(text) or number in (math.inf, -math.inf):
        raise InvalidError(f"line: {name}: {text} is not a finite number; leave it out instead")
    return text if number is None else number
