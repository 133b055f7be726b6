"""The user's own function as a driver: it returns what its channels read now."""

import asyncio
import importlib.util
import inspect
import json
import logging
import pkgutil
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Self, TypeGuard

from pydantic import BaseModel, ConfigDict, JsonValue, model_validator

from iotxmpp.agent.drivers import LocalPath, check_settings
from iotxmpp.agent.drivers.simulated import SimulatedDriver
from iotxmpp.errors import CommandError, CommandFailedError, ConfigError, InvalidError
from iotxmpp.profiles import Profile
from iotxmpp.readings import Value
from iotxmpp.serving.offloop import call, text_of

_LOGGER = logging.getLogger(__name__)

Function = Callable[..., object]


class PythonSettings(BaseModel):
    """Settings of the python driver.

    Attributes:
        function: What reads, as `module:function`; with `file` the function's name alone.
        file: A Python file that has the functions; a relative path starts at the agent's file's folder.
        command: What carries out commands, in the same way; it is called with a command's name and its
            arguments as a dict.
        simulated: Whether the functions are not called, and the profile's simulation answers for them.
        seed: Simulated devices with different seeds differ; the profile's id unless given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

    function: str = "read"
    file: LocalPath | None = None
    command: str | None = None
    simulated: bool = False
    seed: str = ""

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        for key, name in (("function", self.function), ("command", self.command)):
            if name is None:
                continue
            module, colon, function = name.partition(":")
            parts = (module, function) if colon else (module,)
            if not all(part.replace(".", "_").isidentifier() for part in parts):
                raise ValueError(f'{key} {name!r}: use "module:function", or file and a function\'s name')
            if (self.file is None) != bool(colon) and not self.simulated:
                raise ValueError(
                    f'{key} {name!r}: give either "module:function", or file and a function\'s name'
                )
        return self


class PythonDriver:
    """Calls the user's functions: plain ones in threads, coroutine functions on the loop.

    What they raise is a problem that names file and line; they are called again at the next interval.

    Args:
        profile: The kind of device.
        settings: See `PythonSettings`.

    Raises:
        ConfigError: A setting is wrong, the file is missing, or nothing serves the profile's commands.
    """

    def __init__(self, *, profile: Profile, settings: Mapping[str, object]) -> None:
        self._profile = profile
        self._settings = check_settings(PythonSettings, settings, "python")
        if profile.commands and self._settings.command is None and not self._settings.simulated:
            raise ConfigError(
                f"driver python: nothing serves command {next(iter(profile.commands))!r}; give command ="
            )
        if self._settings.file is not None and not self._settings.file.is_file():
            raise ConfigError(f"driver python: file {self._settings.file}: there is none")
        self._read: Function | None = None
        self._command: Function | None = None
        self._said = ""

    async def __aenter__(self) -> Self:
        """Brings the functions in.

        Raises:
            ConfigError: The module or a function is missing, or the module fails; with file and line.
        """
        if self._settings.simulated:
            twin = SimulatedDriver(profile=self._profile, settings={"seed": self._settings.seed})
            self._read, self._command = twin.read, twin.command
        else:
            self._read, self._command = await asyncio.shield(asyncio.ensure_future(self._loaded()))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """There is nothing to release."""

    async def read(self) -> dict[str, Value]:
        """What the function returns; values that are None are left out.

        Raises:
            InvalidError: It raised, with file and line, or returned something else than a dict by channel.
        """
        if self._read is None:
            raise InvalidError("driver python: not open")
        try:
            result = await _called(self._read)
        except Exception as error:
            text = f"{self._profile.id}: {place(error, self._read)}"
            if text != self._said:
                self._said = text
                _LOGGER.warning("%s", text, exc_info=error)
            raise InvalidError(text) from error
        self._said = ""
        return self._checked(result)

    async def command(self, name: str, arguments: Mapping[str, Value]) -> JsonValue:
        """What the function answers to a command.

        Raises:
            UnknownCommandError: The profile has no such command.
            ArgumentsError: The arguments do not fit it.
            CommandFailedError: The function raised, with file and line, or its result is no JSON.
        """
        checked = self._profile.check_arguments(name, arguments)
        if self._command is None:
            raise CommandFailedError(f"{name}: driver python: not open")
        try:
            result = await _called(partial(self._command, name, checked))
        except CommandError:
            raise
        except Exception as error:
            raise CommandFailedError(f"{name}: {place(error, self._command)}") from error
        try:
            answer: JsonValue = json.loads(json.dumps(result, allow_nan=False))
        except (TypeError, ValueError, RecursionError) as error:
            raise CommandFailedError(f"{name}: its result is no JSON: {error}") from error
        return answer

    async def _loaded(self) -> tuple[Function, Function | None]:
        settings = self._settings
        try:
            module = await _called(partial(_module, settings.file)) if settings.file is not None else None
            read = await _called(partial(_function, module, settings.function))
            command = None
            if settings.command is not None:
                command = await _called(partial(_function, module, settings.command))
        except ConfigError:
            raise
        except Exception as error:
            source = str(settings.file or settings.function)
            raise ConfigError(f"driver python: {source}: {place(error, None)}") from error
        return _callable(read, settings.function), (
            _callable(command, settings.command) if settings.command is not None else None
        )

    def _checked(self, result: object) -> dict[str, Value]:
        channels = self._profile.channels()
        if isinstance(result, bool | int | float | str) and len(channels) == 1:
            result = dict.fromkeys(channels, result)
        if result is None:
            return {}
        if not isinstance(result, Mapping) or not all(isinstance(name, str) for name in result):
            raise InvalidError(
                f"{self._profile.id}: {self._settings.function} returned {type(result).__name__}; return a"
                f" dict by channel: {', '.join(channels)}"
            )
        return {name: value for name, value in result.items() if value is not None}


def place(error: BaseException, function: Function | None) -> str:
    """An error's text, with the file and the line where the user's code was.

    Args:
        error: What was raised.
        function: The user's function; its file is the user's code.
    """
    if isinstance(error, RuntimeError) and _ends_too_much(error.__cause__):
        error = error.__cause__
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"{Path(error.filename).name} line {error.lineno}: {text_of(error)}"
    own = getattr(getattr(function, "__code__", None), "co_filename", None)
    all_frames = traceback.extract_tb(error.__traceback__)
    frames = [frame for frame in all_frames if frame.filename == own] or [
        frame for frame in all_frames if not frame.filename.startswith("<")
    ]
    if not frames:
        return text_of(error)
    return f"{Path(frames[-1].filename).name} line {frames[-1].lineno}: {text_of(error)}"


async def _called(function: Function) -> Any:  # noqa: ANN401  # the user's own
    """As `call`; a RuntimeError in place of what would end the loop has that as its cause, with its lines."""
    return await call(function if inspect.iscoroutinefunction(function) else partial(_caught, function))


def _caught(function: Function) -> object:
    try:
        return function()
    except BaseException as error:
        if _ends_too_much(error):
            raise RuntimeError(text_of(error)) from error
        raise


def _ends_too_much(error: BaseException | None) -> TypeGuard[BaseException]:
    """Whether a future cannot hold it, or it would end the program."""
    return error is not None and (not isinstance(error, Exception) or isinstance(error, StopIteration))


def _module(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"iotxmpp_driver_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise ConfigError(f"driver python: file {file}: no Python file; its name ends in .py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _function(module: Any, name: str) -> object:  # noqa: ANN401  # a module of the user's, or None
    try:
        return getattr(module, name) if module is not None else pkgutil.resolve_name(name)
    except (AttributeError, ModuleNotFoundError) as error:
        top = name.partition(":")[0].partition(".")[0]
        advice = f'; for a file beside the agent\'s write file = "{top}.py"'
        is_absent = isinstance(error, ModuleNotFoundError) and error.name == top
        raise ConfigError(
            f"driver python: {name}: not found: {error}{advice if is_absent else ''}"
        ) from error


def _callable(found: object, name: str) -> Function:
    if not callable(found):
        raise ConfigError(f"driver python: {name}: {type(found).__name__} is no function")
    return found
