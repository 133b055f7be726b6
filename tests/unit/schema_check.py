"""As much of JSON Schema (draft 7) as our schemas use, to check them without another library."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}
_WORDS = frozenset(
    {"$schema", "title", "description", "default", "definitions", "format", "$ref", "type", "enum", "const"}
    | {"properties", "additionalProperties", "required", "items", "minItems", "maxItems", "pattern"}
    | {
        "minLength",
        "maxLength",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "anyOf",
        "allOf",
        "if",
        "then",
        "not",
    }
)


def faults(value: Any, schema: Any, whole: Mapping[str, Any], place: str = "") -> Iterator[str]:  # noqa: ANN401, C901  # JSON; one branch for each keyword
    """What a schema has against a value."""
    if schema is True or schema == {}:
        return
    if schema is False:
        yield f"{place}: not allowed"
        return
    unknown = schema.keys() - _WORDS
    assert not unknown, f"the check does not know {unknown}"
    if "$ref" in schema:
        assert len(schema) == 1, "beside a $ref nothing counts"
        yield from faults(value, whole["definitions"][schema["$ref"].rpartition("/")[2]], whole, place)
        return
    kind = schema.get("type")
    if kind is not None and not (
        isinstance(value, _TYPES[kind]) and (kind == "boolean") == isinstance(value, bool)
    ):
        yield f"{place}: no {kind}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{place}: not in enum"
    if "const" in schema and value != schema["const"]:
        yield f"{place}: not {schema['const']}"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{place}: not like {schema['pattern']}"
    yield from _bounds(value, schema, place)
    yield from _parts(value, schema, whole, place)
    for each in schema.get("allOf", ()):
        yield from faults(value, each, whole, place)
    if "anyOf" in schema and all(any(faults(value, each, whole)) for each in schema["anyOf"]):
        yield f"{place}: none of anyOf"
    if "not" in schema and not any(faults(value, schema["not"], whole)):
        yield f"{place}: not allowed"
    if "if" in schema and not any(faults(value, schema["if"], whole)):
        yield from faults(value, schema["then"], whole, place)


def _bounds(value: Any, schema: Mapping[str, Any], place: str) -> Iterator[str]:  # noqa: ANN401  # JSON
    size = len(value) if isinstance(value, list | str) else value
    least = schema.get("minItems", schema.get("minLength", schema.get("minimum")))
    most = schema.get("maxItems", schema.get("maxLength", schema.get("maximum")))
    if (least is not None and size < least) or (most is not None and size > most):
        yield f"{place}: out of bounds"
    if "exclusiveMinimum" in schema and not size > schema["exclusiveMinimum"]:
        yield f"{place}: too small"


def _parts(value: Any, schema: Mapping[str, Any], whole: Mapping[str, Any], place: str) -> Iterator[str]:  # noqa: ANN401  # JSON
    if isinstance(value, list):
        for number, each in enumerate(value):
            yield from faults(each, schema.get("items", True), whole, f"{place}.{number}")
    if isinstance(value, dict):
        for name in schema.get("required", ()):
            if name not in value:
                yield f"{place}: {name} is missing"
        known = schema.get("properties", {})
        for name, each in value.items():
            inside = known.get(name, schema.get("additionalProperties", True))
            yield from faults(each, inside, whole, f"{place}.{name}")
