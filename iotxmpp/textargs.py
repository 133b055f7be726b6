"""Commands as people write them: `switch channel=1 on=true`, on a command line or in a chat."""

import json
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from iotxmpp.about import CommandAbout
from iotxmpp.errors import ArgumentsError


def typed_arguments(given: Mapping[str, str], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Text that people wrote as the JSON values that a command's schema asks for.

    What the schema calls a string stays as it is; anything else is read as JSON where it is JSON. The device
    checks the result.
    """
    properties: Mapping[str, Any] = schema.get("properties", {})
    return {name: _value(text, _resolved(properties.get(name, {}), schema)) for name, text in given.items()}


def split_pairs(words: Iterable[str]) -> dict[str, str]:
    """Arguments from words such as `seconds=20`, each split at its first `=`.

    Raises:
        ArgumentsError: A word is no such pair, or names an argument again.
    """
    pairs: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise ArgumentsError(f"argument {word!r}: write it as key=value, such as seconds=20")
        if key in pairs:
            raise ArgumentsError(f"argument {key!r} is given twice")
        pairs[key] = value
    return pairs


def split_words(text: str) -> tuple[str, dict[str, str]]:
    """A line's first word, and the arguments after it; quotes and backslashes as a shell has them.

    Returns:
        The first word, empty for an empty line, and the arguments as text.

    Raises:
        ArgumentsError: A quote is not closed, or a word is no pair.
    """
    try:
        name, *rest = shlex.split(text) or [""]
    except ValueError:
        raise ArgumentsError(
            r"a quote is not closed: write text with blanks as note='two words', and a quote itself as \'"
        ) from None
    return name, split_pairs(rest)


def describe(name: str, about: CommandAbout) -> str:
    """Help for a command, for people: what it does, a line for each argument, and an example."""
    schema = about.arguments
    required = set(schema.get("required", ()))
    properties: Mapping[str, Any] = schema.get("properties", {})
    lines = [f"{name}: {about.description or about.title or 'says nothing about itself'}"]
    words = [name]
    for argument, given in properties.items():
        rules = _resolved(given, schema)
        lines.append(f"  {argument}: {_rules_told(rules, needed=argument in required)}")
        if argument in required:
            words.append(f"{argument}={_example(rules)}")
    return "\n".join([*lines, f"Write: {' '.join(words)}"])


def _value(text: str, schema: Mapping[str, Any]) -> object:
    if schema.get("type") == "string":
        return text
    try:
        return json.loads(text, parse_constant=lambda word: word)
    except (ValueError, RecursionError):
        return text


def _resolved(rules: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """An argument's rules with what they refer to, and without the null that an optional one may be.

    What stands beside a reference or a choice is kept: its description and its default.
    """
    definitions: Mapping[str, Any] = schema.get("$defs", {})
    for _ in range(len(definitions) + 2):  # a definition that refers to itself ends somewhere
        reference = rules.get("$ref")
        choices = [each for each in rules.get("anyOf", ()) if each.get("type") != "null"]
        if isinstance(reference, str):
            inner = dict(definitions.get(reference.rpartition("/")[2], {}))
            inner.pop("title", None)  # a type's name says nothing of the argument
            outer = "$ref"
        elif len(choices) == 1:
            inner, outer = choices[0], "anyOf"
        else:
            break
        rules = {**inner, **{key: value for key, value in rules.items() if key != outer}}
    return rules


def _rules_told(rules: Mapping[str, Any], *, needed: bool) -> str:
    parts = [_kind(rules)]
    if "unit" in rules:
        parts.append(f"in {rules['unit']}")
    text = " ".join(parts)
    low, high = _bound(rules, "inimum"), _bound(rules, "aximum")
    if low or high:
        text += f", {' and '.join(each for each in (low, high) if each)}"
    if not needed:
        default = rules.get("default")
        text += ", optional" if default is None else f", {_shown(default)} unless given"
    told = rules.get("description") or rules.get("title")
    return f"{text}. {told}" if told else text


def _kind(rules: Mapping[str, Any]) -> str:
    choices = rules.get("enum") or ([rules["const"]] if "const" in rules else None)
    if choices:
        return f"one of {', '.join(_shown(each) for each in choices)}"
    kind = rules.get("type")
    return {
        "boolean": "true or false",
        "integer": "a whole number",
        "number": "a number",
        "string": "text",
        "array": "a list in JSON, such as [1,2]",
    }.get(kind if isinstance(kind, str) else "", "JSON")


def _bound(rules: Mapping[str, Any], name: str) -> str:
    inclusive, exclusive = ("at least", "more than") if name == "inimum" else ("at most", "less than")
    if f"m{name}" in rules:
        return f"{inclusive} {_shown(rules[f'm{name}'])}"
    strict = f"exclusiveM{name}"
    return f"{exclusive} {_shown(rules[strict])}" if strict in rules else ""


def _example(rules: Mapping[str, Any]) -> str:
    choices = rules.get("enum") or rules.get("examples")
    if choices:
        return shlex.quote(_shown(choices[0]))
    least = next((rules[key] for key in ("minimum", "maximum") if key in rules), 1)
    return {
        "boolean": "true",
        "integer": _shown(least),
        "number": _shown(least),
        "string": "text",
        "array": "[]",
    }.get(str(rules.get("type")), "…")


def _shown(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return f"{value:.0f}"
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
