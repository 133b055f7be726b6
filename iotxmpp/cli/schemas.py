"""JSON Schemas of profiles and of agents' files, for editors: made from the models that check the files."""

import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from iotxmpp.agent.config import AgentFile
from iotxmpp.profiles import Profile
from iotxmpp.units import UNITS, unit_fault

_DIALECT = "http://json-schema.org/draft-07/schema#"
_ENTRY = re.compile(r"^    (\w+): (.*(?:\n {8,}.*)*)", re.MULTILINE)
_MARKUP = re.compile(r"\s+")


def profile_schema() -> dict[str, Any]:
    """The schema of a profile's file; draft 7, which editors for TOML speak."""
    schema = _schema(Profile, "A profile of iotxmpp: a kind of device")
    units = [symbol for symbol in UNITS if unit_fault(symbol) is None]
    for each in list(_within(schema)):
        unit = each.get("properties", {}).get("unit")
        if unit is not None:
            each["properties"]["unit"] = {"enum": units, "description": unit["description"]}
    for part in ("ReadingKind", "Argument", "Effect", "DriverChoice"):
        del schema["definitions"][part]["required"]  # what a child leaves out stands in its parent
    schema["required"] = ["schema", "id", "version"]
    schema["properties"]["id"]["pattern"] = "^[a-z0-9][a-z0-9-]{0,62}$"
    schema["properties"]["version"]["pattern"] = r"^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$"
    schema["if"] = {"not": {"required": ["extends"]}}
    schema["then"] = {
        "required": ["driver"],
        "properties": {
            "driver": {"required": ["kind"]},
            "readings": {"additionalProperties": {"required": ["type"]}},
            "commands": {
                "additionalProperties": {
                    "properties": {"args": {"additionalProperties": {"required": ["type"]}}}
                }
            },
        },
    }
    return schema


def agent_schema() -> dict[str, Any]:
    """The schema of an agent's file; draft 7, as above."""
    return _schema(AgentFile, "An agent's file of iotxmpp: one device")


def _schema(model: type[BaseModel], title: str) -> dict[str, Any]:
    made = model.model_json_schema(ref_template="#/definitions/{model}")
    parts = made.pop("$defs", {})
    models = {each.__name__: each for each in _models(model)}
    for name, part in parts.items():
        _describe(part, models.get(name))
    _describe(made, model)
    whole = {"$schema": _DIALECT, **made, "title": title, "definitions": parts}
    for each in list(_within(whole)):
        _simplify(each)
    return whole


def _simplify(part: dict[str, Any]) -> None:
    """TOML knows no null, and draft 7 no `prefixItems`."""
    variants = part.get("anyOf")
    if isinstance(variants, list) and {"type": "null"} in variants:
        left = [each for each in variants if each != {"type": "null"}]
        del part["anyOf"]
        if part.get("default", "") is None:
            del part["default"]
        part |= {"anyOf": left} if len(left) > 1 else {"allOf": left} if "$ref" in left[0] else left[0]
    if isinstance(part.get("default"), dict):
        del part["default"]
    firsts = part.pop("prefixItems", None)
    if firsts:
        part["items"] = firsts[0]


def _models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """The model and those within it."""
    yield model
    for field in model.model_fields.values():
        for each in _classes(field.annotation):
            yield from _models(each)


def _classes(kind: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401  # an annotation
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for each in getattr(kind, "__args__", ()):
        yield from _classes(each)


def _describe(part: dict[str, Any], model: type[BaseModel] | None) -> None:
    """Takes a model's docstring apart: its summary, and the meaning of each key."""
    part.pop("title", None)
    if model is None:
        return
    docstring = model.__doc__ or ""
    part["description"] = docstring.partition("\n")[0]
    meanings = {name: _MARKUP.sub(" ", text) for name, text in _ENTRY.findall(_attributes(model))}
    for name, field in model.model_fields.items():
        shown = part["properties"].get(field.alias or name)
        if shown is not None:
            shown.pop("title", None)
            if name in meanings:
                _put_description(shown, meanings[name])


def _put_description(shown: dict[str, Any], text: str) -> None:
    """Beside a `$ref` nothing else counts in draft 7, so that is wrapped."""
    reference = shown.pop("$ref", None)
    if reference is not None:
        shown["allOf"] = [{"$ref": reference}]
    shown["description"] = text


def _attributes(model: type[BaseModel]) -> str:
    """The lists of attributes in the docstrings of a model and its bases, entries indented by four."""
    lists = []
    for each in reversed(model.__mro__):
        _, found, rest = (each.__doc__ or "").partition("Attributes:\n")
        if found and issubclass(each, BaseModel) and each is not BaseModel:
            lists.append(re.sub(r"^    ", "", rest, flags=re.MULTILINE))
    return "\n".join(lists)


def _within(schema: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401  # JSON
    """A schema, and the schemas within it."""
    if not isinstance(schema, dict):
        return
    yield schema
    for key in ("properties", "definitions"):
        for each in schema.get(key, {}).values():
            yield from _within(each)
    for key in ("anyOf", "allOf", "prefixItems"):
        for each in schema.get(key, ()):
            yield from _within(each)
    for key in ("items", "additionalProperties"):
        yield from _within(schema.get(key))
