"""From the text of an expression to what it asks; the grammar stands in docs/where.md."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal, NoReturn, cast

from iotxmpp.errors import InvalidError
from iotxmpp.liveness import STATES
from iotxmpp.senml import check_name
from iotxmpp.where.conditions import (
    Condition,
    Facts,
    Operator,
    as_number,
    as_version,
    joined,
    negated,
    reading_test,
    text_test,
    version_test,
)
from iotxmpp.where.fault import WhereError

LONGEST = 4096
"""Characters that an expression may have."""

DEEPEST = 64
"""Levels of parentheses and `not` in it."""

FIELDS = ("id", "profile", "site", "tag", "presence", "version")
"""The fields that every device may have; beside them there is `reading.<channel>`."""

_READING = "reading."
_SHOWN = 60
_KEYWORDS = frozenset({"and", "or", "not"})
_ORDERS = frozenset({"<", "<=", ">", ">="})
_OPERATORS = "= != < <= > >= ~"
_HINTS = {"==": "=", "=~": "~", "~=": "~", "<>": "!=", "=<": "<=", "=>": ">="}
_WORD_HINTS = {"&&": "and", "&": "and", ",": "and", "||": "or", "|": "or"}
_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
    | (?P<bracket>[()])
    | (?P<operator>[=!<>~]+)
    | (?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<word>[^\s()=!<>~"'][^\s()=!<>~"]*)
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Where:
    """Which devices are meant.

    Attributes:
        text: The expression as it was written.
        channels: The channels whose readings it asks for.
    """

    text: str
    channels: frozenset[str]
    _test: Condition

    def matches(self, facts: Facts) -> bool:
        """Whether this device is meant."""
        return self._test(facts)


def parse_where(text: str) -> Where:
    """Reads an expression.

    Args:
        text: Such as `site=north and not (tag=spare or reading.temperature > 30)`.

    Raises:
        WhereError: It does not parse; the text says what was expected, with a caret under the place.
    """
    if len(text) > LONGEST:
        raise WhereError(text, LONGEST, f"{len(text)} characters; at most {LONGEST} are read")
    parser = _Parser(text)
    return Where(text=text, _test=parser.whole(), channels=frozenset(parser.channels))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Token:
    kind: Literal["bracket", "operator", "quoted", "word", "end"]
    text: str
    at: int

    @property
    def keyword(self) -> str:
        """`and`, `or` or `not`; empty for anything else."""
        word = self.text.lower() if self.kind == "word" else ""
        return word if word in _KEYWORDS else ""

    def __str__(self) -> str:
        return "the end" if self.kind == "end" else f"{self.text[:_SHOWN]!r}"


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise WhereError(text, at, f"a quotation mark {text[at]} without its end")
        if match.lastgroup != "space":
            kind = cast('Literal["bracket", "operator", "quoted", "word"]', match.lastgroup)
            yield _Token(kind=kind, text=match[0], at=at)
        at = match.end()
    yield _Token(kind="end", text="", at=len(text.rstrip()))


class _Parser:
    """Recursive descent over the grammar of docs/where.md.

    Attributes:
        channels: The channels that were named.
    """

    def __init__(self, text: str) -> None:
        self.channels: set[str] = set()
        self._text = text
        self._tokens = list(_tokens(text))
        self._next = 0
        self._depth = 0

    def whole(self) -> Condition:
        """The whole expression."""
        test = self._any()
        token = self._token
        if token.kind != "end":
            hint = _WORD_HINTS.get(token.text, "")
            advice = f"; write {hint!r}" if hint else ""
            if token.kind == "word" and not hint and self._tokens[self._next + 1].kind != "operator":
                advice = "; quote a value that holds spaces"
            self._fail(token, f"expected 'and', 'or' or the end, found {token}{advice}")
        return test

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._token
        self._next += 1
        return token

    def _fail(self, token: _Token, fault: str) -> NoReturn:
        raise WhereError(self._text, token.at, fault)

    def _any(self) -> Condition:
        return joined(any, self._list("or", self._all))

    def _all(self) -> Condition:
        return joined(all, self._list("and", self._not))

    def _list(self, word: str, part: Callable[[], Condition]) -> list[Condition]:
        parts = [part()]
        while self._token.keyword == word:
            self._take()
            parts.append(part())
        return parts

    def _not(self) -> Condition:
        token = self._token
        if token.keyword != "not" and token.text != "(":
            return self._comparison()
        self._depth += 1
        if self._depth > DEEPEST:
            self._fail(token, f"nested deeper than {DEEPEST} levels")
        self._take()
        test = negated(self._not()) if token.keyword else self._bracketed(token)
        self._depth -= 1
        return test

    def _bracketed(self, opened: _Token) -> Condition:
        test = self._any()
        if self._token.text != ")" or self._token.kind != "bracket":
            where = f"the parenthesis of position {opened.at + 1}"
            hint = _WORD_HINTS.get(self._token.text, "")
            advice = f"; write {hint!r}" if hint else ""
            self._fail(self._token, f"expected 'and', 'or' or ')' for {where}, found {self._token}{advice}")
        self._take()
        return test

    def _comparison(self) -> Condition:
        field = self._field()
        token = self._take()
        if token.kind != "operator" or token.text not in _OPERATORS.split():
            hint = _HINTS.get(token.text, "")
            advice = f"; write {hint}" if hint else ""
            self._fail(token, f"expected one of {_OPERATORS} after {field}, found {token}{advice}")
        return self._compared(field, token, self._value(token))

    def _field(self) -> str:
        token = self._take()
        if token.text == "!":
            self._fail(token, "expected a field, found '!'; write 'not'")
        if token.kind != "word" or token.keyword:
            self._fail(
                token, f"expected a field, such as {', '.join(FIELDS)} or reading.<channel>, found {token}"
            )
        if token.text.startswith(_READING):
            self._check(token, lambda: check_name(token.text.removeprefix(_READING), "channel"))
            self.channels.add(token.text.removeprefix(_READING))
        elif token.text not in FIELDS:
            near = get_close_matches(token.text.lower(), [*FIELDS, "reading"], n=1)
            means = {"reading": "reading.<channel>"}.get(near[0], near[0]) if near else ""
            advice = (
                f"did you mean {means}?" if near else f"there are {', '.join(FIELDS)} and reading.<channel>"
            )
            self._fail(token, f"no field {token.text[:_SHOWN]!r}; {advice}")
        return token.text

    def _value(self, operator: _Token) -> _Token:
        token = self._take()
        if token.kind == "quoted":
            return _Token(
                kind="quoted", text=re.sub(r"\\(.)", r"\1", token.text[1:-1], flags=re.DOTALL), at=token.at
            )
        if token.kind != "word" or token.keyword:
            quote = f'; quote it if it is meant: "{token.text}"' if token.keyword else ""
            self._fail(token, f"expected a value after {operator.text}, found {token}{quote}")
        return token

    def _compared(self, field: str, operator: _Token, value: _Token) -> Condition:
        sign = cast("Operator", operator.text)
        if field.startswith(_READING):
            if sign in _ORDERS and as_number(value.text) is None:
                self._fail(value, f"{sign} compares numbers; {value} is none")
            return reading_test(field.removeprefix(_READING), sign, value.text)
        if field == "version" and sign != "~":
            if as_version(value.text) is None:
                self._fail(value, f"version: expected numbers with dots, such as 1.4 or 2.0.1, found {value}")
            return version_test(sign, value.text)
        if sign in _ORDERS:
            self._fail(operator, f"{field} is text, and has no order; use = != or ~")
        if field == "presence" and sign != "~" and value.text not in STATES:
            near = get_close_matches(value.text.lower(), STATES, n=1)
            advice = f"did you mean {near[0]}?" if near else f"there are {', '.join(STATES)}"
            self._fail(value, f"no presence {value}; {advice}")
        return text_test(field, sign, value.text)

    def _check(self, token: _Token, check: Callable[[], object]) -> None:
        try:
            check()
        except InvalidError as error:
            self._fail(token, str(error))
