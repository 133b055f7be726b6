"""The JSON of SenML packs (RFC 8428 section 5), before anything in it is resolved."""

import json
from collections.abc import Sequence, Sized
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

from pydantic import ConfigDict, FailFast, ValidationError
from pydantic_core import from_json
from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from iotxmpp.errors import InvalidError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Number = int | float


class RawRecord(TypedDict, total=False):
    """A record as it stands in the JSON (section 4.3)."""

    __pydantic_config__ = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)  # type: ignore[misc]

    bn: str
    bt: Number
    bu: str
    bv: Number
    bs: Number
    bver: int
    n: str
    u: str
    v: Number
    vs: str
    vb: bool
    vd: str
    s: Number
    t: Number
    ut: Number
    sq: int
    cq: str


MOST_RECORDS: Final = 1000
"""Records that a pack may have, twice what our devices send: half a kilobyte, compressed, may hold 80,000."""

LABELS = frozenset(RawRecord.__annotations__)
_EXPECTED = {Number: "a finite number", int: "a whole number", bool: "true or false", str: "text"}


def parse_records(text: str | bytes, most: int) -> list[RawRecord]:
    """The records of a pack, with the right types under every label that is known.

    Args:
        text: The JSON, as text or UTF-8.
        most: The most records that are taken.

    Raises:
        InvalidError: It is no such JSON; the text names the record, counted from 0, and its field.
    """
    if isinstance(text, bytes):
        try:
            text = text.decode()
        except UnicodeDecodeError as error:
            raise InvalidError(f"SenML pack: byte {error.start} is no UTF-8") from error
    if may_have_more(text, most):
        _check_count(text, most)
    try:
        pack = _rules().validate_json(text)
    except ValidationError as error:
        raise InvalidError(_fault(error)) from error
    if not pack:
        raise InvalidError("SenML pack: empty; a pack holds at least one record")
    if not _has_each_label_once(text, pack) or "NaN" in text or "Infinity" in text:
        _check_strictly(text)
    return pack


def may_have_more(text: str, most: int) -> bool:
    """Whether a pack may have more records than that: False means that it has not, and takes no time."""
    return text.count("{") > most


def rows_of(text: str) -> list[Any]:
    """The array that a JSON text is, whatever is in it; empty where it is no JSON, or no array."""
    try:
        rows = from_json(text)
    except ValueError:
        return []
    return rows if isinstance(rows, list) else []


def _check_count(text: str, most: int) -> None:
    """Refuses a pack of too many records before they are looked at, which takes fifty times as long."""
    count = len(rows_of(text))
    if count > most:
        raise InvalidError(f"SenML pack: {count} records, at most {most} are taken; send several packs")


def bare_records(text: str) -> list[dict[str, Any]]:
    """The records of a pack, whatever stands under their labels; in a quarter of the time.

    The caller looks at what it uses. A number that is too large for a float may be infinite.

    Raises:
        InvalidError: It is no array of objects, is empty, or has a label twice in one record.
    """
    try:
        pack = from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidError(f"SenML pack: {error}") from error
    if type(pack) is not list or set(map(type, pack)) != {dict}:
        raise InvalidError("SenML pack: must be an array of records, at least one")
    if not _has_each_label_once(text, pack):
        _check_strictly(text)
    return pack


def _has_each_label_once(text: str, pack: Sequence[Sized]) -> bool:
    """Every label has a colon after it: as many colons as labels means so; False means nothing."""
    return text.count(":") == sum(map(len, pack))


@cache
def _rules() -> "TypeAdapter[list[RawRecord]]":
    """The rules of a pack, made when the first one comes: a device reads none, and has little memory."""
    from pydantic import TypeAdapter  # noqa: PLC0415  # as said above

    return TypeAdapter(Annotated[list[RawRecord], FailFast()])


def _check_strictly(text: str) -> None:
    """Refuses what pydantic's parser lets pass: a label given twice, and NaN under a label unknown to us."""
    try:
        json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except InvalidError:
        raise
    except (ValueError, RecursionError) as error:
        raise InvalidError(f"SenML pack: {error}") from error


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields: dict[str, object] = {}
    for label, value in pairs:
        if label in fields:
            raise InvalidError(f"SenML pack: label {label[:80]!r} twice in one record")
        fields[label] = value
    return fields


def _no_constant(text: str) -> NoReturn:
    raise InvalidError(f"SenML pack: {text} is not JSON; leave the record out instead")


def _fault(error: ValidationError) -> str:
    fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if fault["type"] == "list_type":
        return "SenML pack: the root must be an array: put the record in [ ]"
    if not fault["loc"]:
        return f"SenML pack: {fault['msg']}"
    index, *path = fault["loc"]
    if not path:
        return f"SenML record {index}: must be an object such as {{'n': 'temperature', 'v': 21.5}}"
    label = str(path[0])
    expected = _EXPECTED.get(RawRecord.__annotations__.get(label))
    return f"SenML record {index}: {label[:80]}: {f'must be {expected}' if expected else fault['msg']}"
