"""Text lines from any sketch: `temperature=21.5 humidity=40`. No I/O, only bytes to values and back.

A line holds pairs of a channel and its value; or `#` and a log message; or `!`, an event's name and its text;
or `@hello` and who the board is; or `<17 ok` or `<17 error`, the answer to `>17 switch on=true`; or nothing.
Values are numbers, `true` and `false`, and words; text with spaces stands in double quotes. A line may end
with ` *` and four hexadecimal digits: the CRC-16/GENIBUS of all bytes before that space. See docs/serial.md.
"""

import binascii
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from firmware_bridge.crc import crc16
from iotxmpp.errors import ArgumentsError, InvalidError
from iotxmpp.readings import Value

LONGEST = 512
"""Bytes that a line may have, its end not counted."""

NAMES = "a name has 1 to 63 of A-Z a-z 0-9 : . / _ - and starts with a letter or digit"
"""The rule for names, for people."""

_NAME = r"[A-Za-z0-9][A-Za-z0-9:./_-]{0,62}+"
_CHECKED = re.compile(rb" \*[0-9A-Fa-f]{4}")
_CHECK = 6
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]")
_TRUTHS = frozenset({"true", "false"})
_INFINITE = frozenset({math.inf, -math.inf})
_INTEGER = r"[+-]?[0-9]{1,18}+"
_NUMBER = r"[+-]?(?:[0-9]++\.?+[0-9]*+|\.[0-9]++)(?:[eE][+-]?+[0-9]++)?+"
_PAIR = re.compile(
    rf'({_NAME})=(?:(?:({_INTEGER})|({_NUMBER})|"([^"]*+)")(?=[ \t]|$)|([^\s"=]++)(?=[ \t]|$))[ \t]*+|'
)
"""A pair; or nothing where none stands, so that nobody looks for one further on."""
_EVENT = re.compile(rf"![ \t]*({_NAME})(?:[ \t]+(.*))?")
_HELLO = re.compile(r"@hello(?:[ \t]+(.*))?")
_ANSWER = re.compile(r"<([0-9]{1,5})(?:[ \t]+(\S+))?(?:[ \t]+(.*))?")
_TALK = (b"#", b"!", b"<", b">")
_ENDS = {"ok": True, "error": False}
_NO_NUMBER = re.compile(r"[+-]?(nan|inf|infinity|ovf)", re.IGNORECASE)
_WORD = re.compile(rf'(?!(?:{_NUMBER})$|{_NO_NUMBER.pattern}$|(?:true|false)$)[^\s"=]+', re.IGNORECASE)


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
class Identity:
    """Who a board is, as its `@hello` says.

    Attributes:
        id: Which board it is.
        name: Which kind of board it is.
        version: Its firmware's version.
        level: 1 if it also speaks frames.
        facts: What else it says, such as `boot` and `rx`.
    """

    id: str = ""
    name: str = ""
    version: str = ""
    level: int = 0
    facts: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """How a command ended, by the number that it was sent with.

    Attributes:
        number: The command's.
        ok: Whether it was done; None if the answer says neither ok nor error.
        text: For people: what the answer says beside values.
        values: What it returned by name.
    """

    number: int
    ok: bool | None
    text: str = ""
    values: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ignored:
    """A blank line."""


Line = Values | Log | Event | Identity | Answer | Ignored


def has_check(line: bytes) -> bool:
    """Whether a line ends with a check, right or wrong."""
    if b" *" not in line:
        return False
    return _CHECKED.fullmatch(line.rstrip(b"\r\n")[-_CHECK:]) is not None


def cut_by_hello(line: bytes, known: tuple[str, str] | None = None) -> tuple[bytes, bytes] | None:
    """What a line is that the board's restart cut off: its beginning, and the hello that follows it.

    None for every other line: for one whose check fits as a whole, and where no hello with an id follows.
    A log, an event, an answer or an echo may speak of another board: its hello counts only if it is the known
    board's. Once a board is known, so it is with every line.

    Args:
        line: The line.
        known: Id and name of the board that is known; None for none.
    """
    at = line.rfind(b"@hello")
    if at <= 0 or not line[:at].strip():
        return None
    try:
        hello = parse_line(line[at:])
    except InvalidError:
        return None
    if not isinstance(hello, Identity) or not hello.id or (has_check(line) and _is_whole(line)):
        return None
    is_ours = line.lstrip()[:1] not in _TALK if known is None else known == (hello.id, hello.name)
    return (line[:at], line[at:]) if is_ours else None


def _is_whole(line: bytes) -> bool:
    """Whether the check at a line's end fits."""
    body = line.rstrip(b"\r\n")
    return crc16(body[:-_CHECK]) == int(body[-4:], 16)


def printed_text(line: bytes) -> str | None:
    """A line as a text for people; None if it is none."""
    try:
        text = line.rstrip(b"\r\n").decode().strip(" \t")
    except UnicodeDecodeError:
        return None
    return None if _CONTROL.search(text) else text


def is_name(text: str) -> bool:
    """Whether a text may be the name of a channel, an event, a command or an argument."""
    return re.fullmatch(_NAME, text) is not None


def parse_line(line: bytes, *, dropped: dict[str, str] | None = None) -> Line:
    """What a line says, with or without its line end.

    Args:
        line: The line.
        dropped: Takes the channels whose value is no finite number, and what came; None raises for them.

    Raises:
        InvalidError: It is too long, no UTF-8, damaged, or of no known form.
    """
    body = line.rstrip(b"\r\n")
    if len(body) > LONGEST:
        raise InvalidError(f"line: {len(body)} bytes, at most {LONGEST}; send shorter lines")
    if body[-_CHECK:-4] == b" *" and _CHECKED.fullmatch(body, len(body) - _CHECK):
        whole, body = body, body[:-_CHECK]
        if binascii.crc_hqx(body, 0xFFFF) ^ 0xFFFF != int(whole[-4:], 16):
            raise InvalidError(f"line {line[:80]!r}: damaged, its check does not fit")
    try:
        text = body.decode().strip(" \t")
    except UnicodeDecodeError as error:
        raise InvalidError(
            f"line {line[:80]!r}: byte {error.start} is no UTF-8; is the speed right?"
        ) from error
    if not text.isprintable() and _CONTROL.search(text):
        raise InvalidError(f"line {line[:80]!r}: holds a control character; is the speed right?")
    if not text:
        return Ignored()
    special = _SPECIAL.get(text[0])
    return Values(values=_values(text, dropped)) if special is None else special(text, dropped)


def write_command(number: int, name: str, arguments: Mapping[str, Value], *, checked: bool) -> bytes:
    """The line that asks for a command, with its end.

    Args:
        number: What the answer is known by, from 1 on; 0 for `hello`, which is no command.
        name: The command.
        arguments: Its arguments by name.
        checked: Whether it ends with a check.

    Raises:
        ArgumentsError: A name or a value cannot stand in a line.
    """
    if not is_name(name):
        raise ArgumentsError(f"command {name!r}: the name cannot stand in a line: {NAMES}")
    words = [f">{number}", name]
    for key, value in arguments.items():
        if not is_name(key):
            raise ArgumentsError(f"command {name}: the name {key!r} cannot stand in a line: {NAMES}")
        words.append(f"{key}={_written(name, key, value)}")
    body = " ".join(words).encode()
    if checked:
        body += b" *%04X" % crc16(body)
    return body + b"\n"


def _written(name: str, key: str, value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        if not math.isfinite(value):
            raise ArgumentsError(f"command {name}: {key}: {value} is not a finite number")
        return repr(value)
    if _CONTROL.search(value) or '"' in value:
        raise ArgumentsError(f'command {name}: {key}: a text line carries no " and no control characters')
    return value if _WORD.fullmatch(value) else f'"{value}"'


def _event(text: str, _dropped: dict[str, str] | None) -> Event:
    match = _EVENT.fullmatch(text)
    if match is None:
        raise InvalidError(f"line {text[:80]!r}: expected an event's name after !, such as !pressed")
    return Event(name=match[1], text=match[2] or "")


def _hello(text: str, _dropped: dict[str, str] | None) -> Identity:
    match = _HELLO.fullmatch(text)
    if match is None:
        raise InvalidError(f"line {text[:80]!r}: expected @hello id=… name=… version=…")
    facts = _values(match[1] or "", plain=True)
    level = facts.pop("level", 0)
    return Identity(
        id=str(facts.pop("id", "")),
        name=str(facts.pop("name", "")),
        version=str(facts.pop("version", "")),
        level=1 if level in ("1", 1) else 0,
        facts=facts,
    )


def _answer(text: str, dropped: dict[str, str] | None) -> Answer:
    """Whatever follows the number, the sketch has answered: what cannot be read as values is a text."""
    match = _ANSWER.fullmatch(text)
    if match is None:
        raise InvalidError(f"line {text[:80]!r}: expected a call's number and ok or error, such as <17 ok")
    number, rest = int(match[1]), match[3] or ""
    ok = _ENDS.get((match[2] or "").lower())
    if ok is None:
        return Answer(number=number, ok=None, text=f"{match[2] or ''} {rest}".strip())
    if not ok:
        return Answer(number=number, ok=False, text=rest)
    lost: dict[str, str] = {}
    try:
        values = _values(rest, lost)
    except InvalidError:
        return Answer(number=number, ok=True, text=rest)
    if lost and dropped is None:
        raise InvalidError(
            f"line {text[:80]!r}: {next(iter(lost))} is not a finite number; leave it out instead"
        )
    if dropped is not None:
        dropped |= lost
    return Answer(number=number, ok=True, values=values)


def _values(text: str, dropped: dict[str, str] | None = None, *, plain: bool = False) -> dict[str, Value]:
    """The pairs of a line; plain ones are texts, whatever they look like."""
    values: dict[str, Value] = {}
    position = 0
    for match in _PAIR.finditer(text):
        name, integer, number, quoted, word = match.groups()
        if name is None:
            break
        position = match.end()
        if name in values:
            raise InvalidError(f"line {text[:80]!r}: {name} stands there twice")
        if integer is not None and not plain:
            values[name] = int(integer)
        elif number is not None and not plain:
            values[name] = float(number)
            if values[name] in _INFINITE:
                _drop(name, number, values, dropped)
        elif word is not None and not plain:
            values[name] = word == "true" if word in _TRUTHS else word
            if _NO_NUMBER.fullmatch(word):
                _drop(name, word, values, dropped)
        else:
            values[name] = next(each for each in (quoted, word, number, integer) if each is not None)
    if position != len(text):
        raise InvalidError(f"line {text[:80]!r}: expected name=value at {text[position : position + 20]!r}")
    return values


def _drop(name: str, text: str, values: dict[str, Value], dropped: dict[str, str] | None) -> None:
    if dropped is None:
        raise InvalidError(f"line: {name}: {text} is not a finite number; leave it out instead")
    del values[name]
    dropped[name] = text


def _log(text: str, _dropped: dict[str, str] | None) -> Log:
    return Log(text=text[1:].strip())


_SPECIAL: dict[str, Callable[[str, dict[str, str] | None], Line]] = {
    "#": _log,
    "!": _event,
    "@": _hello,
    "<": _answer,
}
