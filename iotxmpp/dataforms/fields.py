"""What fields a command's form has: each argument's JSON Schema as one kind of field."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from iotxmpp.about import CommandAbout
from iotxmpp.dataforms.texts import quoted
from iotxmpp.errors import InvalidError

Kind = Literal[
    "integer", "number", "boolean", "choice", "choices", "text", "secret", "lines", "moment", "json"
]
"""How a person enters it; `choices` and `lines` take several values, `json` takes JSON text."""

ABSENT: Final = object()
"""Stands for an argument that is left out."""

MISSING: Final = object()
"""Stands for an argument that must be given, and was not."""

_MOMENTS: Final = {
    "date-time": "xs:dateTime",
    "date": "xs:date",
    "time": "xs:time",
    "duration": "xs:duration",
}
_PLAIN: Final[Mapping[str, tuple[Kind, str]]] = {
    "integer": ("integer", "xs:integer"),
    "number": ("number", "xs:double"),
    "boolean": ("boolean", ""),
}
_BOUNDS: Final = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_DEEPEST: Final = 16
"""How many `$ref`s and alternatives lie on the way to a type at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One argument, as people see it.

    Attributes:
        name: The argument's name.
        kind: How a person enters it.
        title: Its label; empty for the name.
        help: A sentence about it.
        unit: Its SenML unit; empty for none.
        required: Whether it must be given.
        nullable: Whether it may be null, which an empty field then means.
        default: What it is when it is left out; `ABSENT` where nobody says.
        choices: The allowed values by the text that stands for each.
        bounds: JSON Schema's `minimum`, `maximum`, `exclusiveMinimum` and `exclusiveMaximum` of a number.
        datatype: XEP-0122's type; empty for text.
        bare: Whether a text without quotes may stand for itself in `json`.
    """

    name: str
    kind: Kind
    title: str = ""
    help: str = ""
    unit: str = ""
    required: bool = False
    nullable: bool = False
    default: Any = ABSENT
    choices: Mapping[str, Any] = field(default_factory=dict)
    bounds: Mapping[str, Any] = field(default_factory=dict)
    datatype: str = ""
    bare: bool = False

    @property
    def several(self) -> bool:
        """Whether it takes several values."""
        return self.kind in ("choices", "lines")

    @property
    def blank(self) -> Any:  # noqa: ANN401  # null, an empty value, or what it stands for
        """What an empty field means: null, an empty text or list, `ABSENT` or `MISSING`."""
        if self.nullable:
            return None
        if self.kind == "choices":
            return []
        if self.required:
            return MISSING
        if self.kind in ("text", "lines") and self.default not in (ABSENT, None):
            return "" if self.kind == "text" else []
        return ABSENT

    @property
    def none(self) -> str:
        """The option that chooses nothing; it has a text, since an empty one ends Debian's Profanity."""
        text = "(none)"
        while text in self.choices:
            text = f"({text})"
        return text


def fields_of(about: CommandAbout, name: str, only: Sequence[str] | None) -> list[Field]:
    """The fields of a command's form, or of one page of it.

    Args:
        about: The command's description.
        name: Its name, for errors.
        only: The arguments to show, in this order; None for all.

    Raises:
        InvalidError: `only` names what is no argument.
    """
    properties: Mapping[str, Mapping[str, Any]] = about.arguments.get("properties", {})
    required = about.arguments.get("required", ())
    names = list(properties) if only is None else list(only)
    strange = [each for each in names if each not in properties]
    if strange:
        raise InvalidError(f"command {name}: no argument {', '.join(strange)}")
    definitions = about.arguments.get("$defs", {})
    return [_field(each, properties[each], definitions, given=each in required) for each in names]


def _field(name: str, rules: Mapping[str, Any], definitions: Mapping[str, Any], *, given: bool) -> Field:
    inner, nullable = _resolved(rules, definitions)
    choices = _choices(inner)
    if choices is not None:
        nullable = nullable or None in choices
    default = rules.get("default", ABSENT)
    required = given and not nullable
    # Null as the default of what cannot be null stands for nothing.
    settled = required or (default not in (ABSENT, None) and not nullable)
    kind, datatype, texts = _kind(inner, definitions, choices, settled=settled)
    return Field(
        name=name,
        kind=kind,
        title=str(inner.get("title", "")),
        help=str(inner.get("description", "")),
        unit=str(inner.get("unit") or ""),
        required=required,
        nullable=nullable,
        default=default,
        choices=texts,
        bounds={key: inner[key] for key in _BOUNDS if key in inner} if kind in ("integer", "number") else {},
        datatype=datatype,
        bare=kind == "json" and _takes_text(inner),
    )


def _resolved(rules: Mapping[str, Any], definitions: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """The rules behind `$ref`, a lone `allOf`, and `anyOf` with null; and whether null is allowed."""
    found, nullable = dict(rules), False
    for _ in range(_DEEPEST):
        types = found.get("type")
        if isinstance(types, list):
            nullable = nullable or "null" in types
            found.pop("type")
            found["anyOf"] = [{"type": each} for each in types]
        if "$ref" in found:
            inner = definitions.get(str(found.pop("$ref")).rpartition("/")[2], {})
            words = {"title", "description"}  # of the type, not of the argument
            found = {**{key: value for key, value in inner.items() if key not in words}, **found}
        elif len(found.get("allOf", ())) == 1:
            found = {**found.pop("allOf")[0], **found}
        elif "anyOf" in found:
            plain = [each for each in found["anyOf"] if each.get("type") != "null"]
            nullable = nullable or len(plain) < len(found["anyOf"])
            if len(plain) != 1:
                break
            del found["anyOf"]
            found = {**plain[0], **found}
        else:
            break
    return found, nullable


def _choices(rules: Mapping[str, Any]) -> list[Any] | None:
    found = rules.get("enum", [rules["const"]] if "const" in rules else None)
    if found is None or not all(isinstance(each, bool | int | float | str | None) for each in found):
        return None
    return list(found)


def _kind(
    rules: Mapping[str, Any], definitions: Mapping[str, Any], choices: list[Any] | None, *, settled: bool
) -> tuple[Kind, str, dict[str, Any]]:
    """The kind, XEP-0122's type, and the texts of the choices."""
    if choices is not None:
        return "choice", "", _choice_texts(choices)
    of_type = rules.get("type")
    if of_type == "array":
        return _list_kind(rules, definitions)
    if of_type == "boolean" and not settled:
        # A box that is ticked or not cannot say "leave it out".
        return "choice", "", {"true": True, "false": False}
    if of_type == "string":
        moment = _MOMENTS.get(rules.get("format", ""), "")
        return "secret" if rules.get("writeOnly") else "moment" if moment else "text", moment, {}
    return *_PLAIN.get(str(of_type), ("json", "")), {}


def _list_kind(rules: Mapping[str, Any], definitions: Mapping[str, Any]) -> tuple[Kind, str, dict[str, Any]]:
    items, nullable = _resolved(rules.get("items", {}), definitions)
    choices = _choices(items)
    if not nullable and "prefixItems" not in rules:
        if choices is not None and None not in choices:
            return "choices", "", _choice_texts(choices)
        if choices is None and items.get("type") == "string" and items.get("format", "") not in _MOMENTS:
            return "lines", "", {}
    return "json", "", {}


def _choice_texts(choices: Sequence[Any]) -> dict[str, Any]:
    """Each choice by its text: texts as they are unless another choice would look the same."""
    others = {json.dumps(each) for each in choices if not isinstance(each, str)}
    return {
        json.dumps(each) if not isinstance(each, str) or each in others else quoted(each, blank=False): each
        for each in choices
        if each is not None
    }


def _takes_text(rules: Mapping[str, Any]) -> bool:
    if "anyOf" in rules:
        return any(each.get("type") == "string" for each in rules["anyOf"])
    return "type" not in rules and "enum" not in rules
