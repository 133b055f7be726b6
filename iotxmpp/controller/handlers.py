"""The user's functions: what their annotations ask for, and how they are called.

A function keeps its own form: it is never wrapped, and can be called in a test.
"""

import asyncio
import contextvars
import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from iotxmpp.errors import InvalidError

Function = Callable[..., object]

Parameters = list[inspect.Parameter]


def name_of(function: Function) -> str:
    """A function's name for people and for metrics."""
    inner = function.func if isinstance(function, partial) else function
    return str(getattr(inner, "__qualname__", type(inner).__qualname__))


def parameters_of(function: Function) -> Parameters:
    """The parameters that a function must be given, and optional ones that it may be, with real annotations.

    Raises:
        InvalidError: It is no function, or an annotation names something that is not there.
    """
    if not callable(function):
        raise InvalidError(f"{function!r} is no function")
    try:
        signature = inspect.signature(function, eval_str=True)
    except NameError as error:
        raise InvalidError(
            f"handler {name_of(function)}: annotation: {error}; import it outside of TYPE_CHECKING,"
            " at the top of the module"
        ) from error
    except (TypeError, ValueError) as error:
        raise InvalidError(f"handler {name_of(function)}: {error}") from error
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise InvalidError(f"handler {name_of(function)}: it yields; use a plain or an async function")
    return list(signature.parameters.values())


def second_of(function: Function, parameters: Parameters, wanted: type, name: str) -> str | None:
    """How the optional second parameter is given: its name, or None where there is none.

    Args:
        function: The handler.
        parameters: All of its parameters, the first of which is something else.
        wanted: The type of the second.
        name: The name that tells it without an annotation.

    Raises:
        InvalidError: A further parameter must be given, and nothing is there to give.
    """
    found = None
    for parameter in parameters[1:]:
        asked = parameter.annotation is wanted or (
            parameter.annotation is parameter.empty and parameter.name == name
        )
        if asked and found is None and parameter.kind is not parameter.POSITIONAL_ONLY:
            found = parameter.name
        elif parameter.default is parameter.empty and parameter.kind not in _VARIADIC:
            raise InvalidError(
                f"handler {name_of(function)}: parameter {parameter.name}: only"
                f" '{name}: {wanted.__name__}' can be given after the first"
            )
    return found


_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Calls a function: an async one on the loop, another one in a thread of its own."""

    function: Function
    thread: ThreadPoolExecutor | None

    @classmethod
    def of(cls, function: Function) -> "Caller":
        """The caller of a function."""
        is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004  # an object with an async __call__
        )
        thread = None if is_async else ThreadPoolExecutor(max_workers=1, thread_name_prefix="iotxmpp-handler")
        return cls(function=function, thread=thread)

    async def __call__(self, *args: object, **kwargs: object) -> None:
        """Calls the function and waits for its end; raises what it raises."""
        call = partial(self.function, *args, **kwargs)
        if self.thread is None:
            result = call()
            if inspect.isawaitable(result):
                await result
            return
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        error = await loop.run_in_executor(self.thread, context.run, _error_of, call)
        if error is not None:
            raise error

    def close(self) -> None:
        """Lets the thread end; a function that still runs there is not waited for."""
        if self.thread is not None:
            self.thread.shutdown(wait=False, cancel_futures=True)


def _error_of(call: Callable[[], object]) -> Exception | None:
    """What the call raised; given back, because a future cannot carry every exception."""
    try:
        call()
    except Exception as error:  # noqa: BLE001  # raised again on the loop
        return error
    return None
