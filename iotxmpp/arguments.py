"""The typed model behind a command: its arguments, made from a function's annotations or from a profile."""

import functools
import hashlib
import inspect
import json
import math
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Annotated, Any, Self, cast, get_type_hints

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PydanticUserError,
    ValidationError,
    create_model,
)
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, PydanticJsonSchemaWarning
from pydantic_core import PydanticUndefined, to_jsonable_python

from iotxmpp.about import CommandAbout
from iotxmpp.errors import ArgumentsError, InvalidError
from iotxmpp.strictjson import parse_json
from iotxmpp.validation import explain
from iotxmpp.xmltext import check_text

LONGEST_JSON = 64 * 1024
"""Bytes of JSON that the arguments or the result of a command may take."""

DEEPEST_JSON = 32
"""Levels of lists and objects in it."""

_MODEL_CONFIG = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
_JSON_TYPES: dict[str, Any] = {"integer": int, "number": float, "boolean": bool, "string": str}
_PROPERTY_KEYS = {"type", "enum", "default", "title", "description", "unit", "minimum", "maximum"}
_ABSENT: Any = object()


class CommandSpec:
    """A command's name, its description, and the rules of its arguments.

    Attributes:
        name: What callers call it.
        title: A few words for people; empty for the name.
        description: One line for people.
        role: Which role a caller needs at least.
        idempotent: Whether doing it twice is the same as doing it once; a journal sees to the others.
        steps: The pages of a person's form, each the names of its arguments; empty for one page.
        only_reads: Whether it changes nothing: the audit log gets a line an hour of each who calls it, not
            two a call, and it also runs while that cannot be written.
    """

    def __init__(  # noqa: PLR0913  # what a command is
        self,
        name: str,
        description: str,
        fields: Mapping[str, tuple[Any, Any]],
        *,
        schema: dict[str, Any] | None,
        title: str = "",
        role: str = "operator",
        idempotent: bool = False,
        steps: Sequence[Sequence[str]] = (),
        only_reads: bool = False,
    ) -> None:
        if not name.strip():
            raise InvalidError("a command's name is empty")
        self.name = check_text(name, f"command {name!r}")
        if not role.strip():
            raise InvalidError(f"command {name}: its role is empty; name the least role, such as operator")
        self.role = check_text(role, f"command {name}: role")
        self.title = check_text(title, f"command {name}: title")
        self.description = description
        self.idempotent = idempotent
        self.only_reads = only_reads
        self.steps = _checked_steps(name, steps, fields)
        # Numbered names with aliases: an argument may be called `copy` or `model_x`, which pydantic reserves.
        self._names = {f"argument_{number}": argument for number, argument in enumerate(fields)}
        self._fields = {
            field: (annotation, Field(default, alias=argument))
            for (field, argument), (annotation, default) in zip(
                self._names.items(), fields.values(), strict=True
            )
        }
        try:
            self._schema = schema if schema is not None else _schema(self._model)
        except (PydanticUserError, PydanticJsonSchemaWarning, TypeError, ValueError) as error:
            fault = str(error).partition("\n")[0]
            raise InvalidError(
                f"command {name}: an annotation or a default cannot be served: {fault}"
            ) from error

    @functools.cached_property
    def _model(self) -> type[BaseModel]:
        """What checks arguments; it takes time and memory, and many a command is never called."""
        model = create_model(self.name, __config__=_MODEL_CONFIG, **cast("Any", self._fields))
        return cast("type[BaseModel]", model)

    @classmethod
    def from_function(  # noqa: PLR0913  # what a command is
        cls,
        function: Callable[..., object],
        *,
        name: str | None = None,
        title: str = "",
        role: str = "operator",
        idempotent: bool = False,
        steps: Sequence[Sequence[str]] = (),
        only_reads: bool = False,
    ) -> Self:
        """The command that a function serves: arguments by its annotations, the first line of its docstring.

        Labels, help and bounds of an argument stand in its annotation, as
        `Annotated[int, Field(ge=1, le=4, title="Channel", description="Which relay")]`.

        Args:
            function: Serves it, by keyword arguments.
            name: What callers call it; the function's name unless given.
            title: A few words for people.
            role: Which role a caller needs at least.
            idempotent: Whether doing it twice is the same as doing it once.
            steps: The pages of a person's form: the names of each page's arguments, every argument once.
            only_reads: Whether it changes nothing, and the audit log needs no line of each call.

        Raises:
            InvalidError: An argument has no annotation or one that JSON cannot fill, cannot be given by
                name, or is on no page or on two.
        """
        name = name if name is not None else function.__name__
        try:
            hints = get_type_hints(function, include_extras=True)
        except (NameError, TypeError) as error:
            raise InvalidError(f"command {name}: an annotation cannot be resolved: {error}") from error
        fields = {
            parameter.name: (_annotation(name, parameter, hints), _default(name, parameter))
            for parameter in inspect.signature(function).parameters.values()
        }
        description = (inspect.getdoc(function) or "").partition("\n")[0]
        return cls(
            name,
            description,
            fields,
            schema=None,
            title=title,
            role=role,
            idempotent=idempotent,
            steps=steps,
            only_reads=only_reads,
        )

    @classmethod
    def from_about(cls, name: str, about: CommandAbout) -> Self:
        """The command that a self-description describes; its schema holds plain types only.

        An optional argument without a default is left out of what `parse` returns when it is not given.

        Raises:
            InvalidError: The schema uses more than types, enum, bounds, defaults, words for people and
                required, XML cannot carry an argument's name, or an argument is on no page or on two.
        """
        schema = about.arguments
        unknown = schema.keys() - {"type", "properties", "required", "additionalProperties"}
        if unknown or schema.get("type", "object") != "object" or schema.get("additionalProperties", False):
            raise InvalidError(f"command {name}: arguments must be a closed object of plain values")
        required = set(schema.get("required", ()))
        properties: Mapping[str, Any] = schema.get("properties", {})
        fields = {
            check_text(argument, f"command {name}: argument"): (
                _property_annotation(f"command {name}, argument {argument}", rules),
                PydanticUndefined if argument in required else rules.get("default", _ABSENT),
            )
            for argument, rules in properties.items()
        }
        return cls(
            name,
            about.description,
            fields,
            schema=schema,
            title=about.title,
            role=about.role,
            idempotent=about.once == "idempotent",
            steps=about.steps,
        )

    def about(self) -> CommandAbout:
        """How a device describes this command."""
        return CommandAbout(
            description=self.description,
            arguments=self._schema,
            title=self.title,
            role=self.role,
            once="idempotent" if self.idempotent else "journal",
            steps=self.steps,
        )

    def parse(self, arguments: str | Mapping[str, Any] | None) -> dict[str, Any]:
        """The arguments to call the function with, from JSON text or from plain values.

        Raises:
            ArgumentsError: They do not fit; the text names each argument and its fault.
        """
        if arguments is None and not self._names:
            return {}
        text = "{}" if arguments is None else arguments
        if not isinstance(text, str):
            text = json_of(text, f"command {self.name}: arguments")
        given = _loads(text, f"command {self.name}: arguments")
        try:
            model = self._model.model_validate_json(text, strict=True)
        except ValidationError as error:
            raise ArgumentsError(explain(error, f"command {self.name}")) from error
        values = {argument: getattr(model, field) for field, argument in self._names.items()}
        for argument, value in values.items():
            if argument in given:
                _check_truth(f"command {self.name}: {argument}", given[argument], value)
        return {argument: value for argument, value in values.items() if value is not _ABSENT}


_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"))
_CANONICAL = json.JSONEncoder(allow_nan=False, separators=(",", ":"), sort_keys=True)


def json_of(value: object, where: str) -> str:
    """A value as JSON text, plain or of pydantic's and the standard library's types.

    Raises:
        ArgumentsError: JSON cannot hold it, or it is too long or too deep.
    """
    try:
        text = _ENCODER.encode(to_jsonable_python(value, by_alias=True))
    except (TypeError, ValueError, RecursionError) as error:
        raise ArgumentsError(f"{where}: JSON cannot hold it: {error}") from error
    _check_size(text, where)
    return text


def fingerprint(name: str, arguments: Mapping[str, Any]) -> str:
    """Tells a call from another: the same for the same command with the same arguments, in any order.

    Args:
        name: The command's name.
        arguments: Its arguments, plain or as `CommandSpec.parse` gives them; not one time so, one time so.

    Returns:
        The SHA-256 of both as canonical JSON, in hex.

    Raises:
        ArgumentsError: JSON cannot hold the arguments.
    """
    try:
        plain = to_jsonable_python([name, dict(arguments)], by_alias=True)
        text = _CANONICAL.encode(plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise ArgumentsError(f"command {name}: arguments: JSON cannot hold them: {error}") from error
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _checked_steps(
    command: str, steps: Sequence[Sequence[str]], arguments: Mapping[str, object]
) -> tuple[tuple[str, ...], ...]:
    if any(isinstance(step, str) for step in steps):
        raise InvalidError(f'command {command}: steps: write each page as a tuple of names, such as ("a",)')
    pages = tuple(tuple(step) for step in steps)
    if not pages:
        return pages
    shown = [argument for page in pages for argument in page]
    wrong = {
        "no such argument": [name for name in shown if name not in arguments],
        "twice": [name for name in arguments if shown.count(name) > 1],
        "on no page": [name for name in arguments if name not in shown],
        "a page is empty": [""] if not all(pages) else [],
    }
    faults = [f"{fault} {', '.join(names)}".strip() for fault, names in wrong.items() if names]
    if faults:
        raise InvalidError(f"command {command}: steps: {'; '.join(faults)}; name each argument once")
    return pages


def _check_size(text: str, where: str) -> None:
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > LONGEST_JSON:
        raise ArgumentsError(f"{where}: {size} bytes of JSON; at most {LONGEST_JSON} can be sent")


def _loads(text: str, where: str) -> dict[str, Any]:
    """JSON text as an object, strictly."""
    given = json_value(text, where)
    if not isinstance(given, dict):
        raise ArgumentsError(f'{where}: expected a JSON object, such as {{"seconds": 10}}')
    return given


def json_value(text: str, where: str) -> Any:  # noqa: ANN401  # whatever JSON holds
    """JSON text as a value, strictly: finite numbers, no key twice, not too long, not too deep.

    Raises:
        ArgumentsError: It is no such JSON.
    """
    _check_size(text, where)
    try:
        return parse_json(text, where, deepest=DEEPEST_JSON)
    except InvalidError as error:
        raise ArgumentsError(str(error)) from error


def _check_truth(where: str, given: object, value: object) -> None:
    """Pydantic lets `true` pass for `Literal[1]`, as Python does, in lists, objects and models as well."""
    if isinstance(value, BaseModel):
        fields = type(value).model_fields.items()
        value = {rules.alias or name: getattr(value, name) for name, rules in fields}
    if isinstance(given, list) and isinstance(value, list | tuple):
        given, value = dict(enumerate(given)), dict(enumerate(value))
    if isinstance(given, dict) and isinstance(value, dict):
        for key in given.keys() & value.keys():
            _check_truth(f"{where}.{key}", given[key], value[key])
    plain = value.value if isinstance(value, Enum) else value
    if isinstance(plain, bool | int | float | str) and isinstance(given, bool) != isinstance(plain, bool):
        raise ArgumentsError(f"{where}: a truth value is no number, and a number no truth value")


def _annotation(command: str, parameter: inspect.Parameter, hints: Mapping[str, Any]) -> object:
    if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
        raise InvalidError(
            f"command {command}: {parameter}: arguments are given by name; use plain parameters"
        )
    if parameter.name not in hints:
        raise InvalidError(
            f"command {command}: annotate {parameter.name}, such as {parameter.name}: int = 10"
        )
    return hints[parameter.name]


def _default(command: str, parameter: inspect.Parameter) -> object:
    if isinstance(parameter.default, FieldInfo):
        raise InvalidError(
            f"command {command}: write {parameter.name}: Annotated[…, Field(…)] = …,"
            " so that plain calls work too"
        )
    return PydanticUndefined if parameter.default is parameter.empty else parameter.default


def _property_annotation(where: str, rules: Mapping[str, Any]) -> object:
    unknown, named = rules.keys() - _PROPERTY_KEYS, rules.get("type")
    kind = _JSON_TYPES.get(named) if isinstance(named, str) else None
    low, high = bounds = rules.get("minimum"), rules.get("maximum")
    is_fitting = all(map(_is_bound, bounds)) and (bounds == (None, None) or kind in (int, float))
    if unknown or kind is None or not is_fitting or not isinstance(rules.get("enum", []), list):
        raise InvalidError(f"{where}: expected one of {', '.join(_JSON_TYPES)}, with plain rules")
    if kind is int:
        low, high = (
            None if bound is None else rounded(bound)
            for bound, rounded in ((low, math.ceil), (high, math.floor))
        )
    annotation: Any = Annotated[kind, Field(ge=low, le=high)] if (low, high) != (None, None) else kind
    return Annotated[annotation, AfterValidator(_one_of(rules["enum"]))] if "enum" in rules else annotation


def _is_bound(bound: object) -> bool:
    """Whether a model can be made with it."""
    return bound is None or (isinstance(bound, int | float) and abs(bound) <= sys.float_info.max)


def _one_of(choices: Sequence[object]) -> Callable[[object], object]:
    def check(value: object) -> object:
        if value not in choices:
            raise ValueError(f"must be one of {', '.join(map(str, choices))}")
        return value

    return check


class _PlainSchema(GenerateJsonSchema):
    """Without titles that only repeat names."""

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002  # the base's signature
        return False


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", PydanticJsonSchemaWarning)
        schema = model.model_json_schema(schema_generator=_PlainSchema)
    schema.pop("title", None)
    json.dumps(schema, allow_nan=False)
    return schema
