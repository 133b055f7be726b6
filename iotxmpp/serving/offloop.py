"""Calls of users' functions: coroutine functions on the loop, plain ones in a thread of their own.

Each call has its own daemon thread: a shared pool would fill with functions that hang, and both the pool and
the interpreter would wait for them at exit.
"""

import asyncio
import contextlib
import contextvars
import inspect
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

Result = TypeVar("Result")


async def call(function: Callable[..., object], /, **arguments: Any) -> Any:  # noqa: ANN401  # the user's own
    """Calls the function and returns its result; what it raises is raised.

    What would end the loop, such as the `SystemExit` of a driver's `sys.exit()`, is a `RuntimeError`.
    """
    if inspect.iscoroutinefunction(function):
        return await tamed(lambda: function(**arguments))
    result = await _in_thread(function, arguments)
    return await tamed(lambda: result) if inspect.isawaitable(result) else result


def said(error: BaseException) -> str:
    """An error's text; nothing if it has none or cannot tell it."""
    try:
        return str(error)
    except BaseException:  # noqa: BLE001  # a foreign class's own code
        return ""


def text_of(error: BaseException) -> str:
    """An error's kind, and its text if it has one and can tell it."""
    text = said(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


async def tamed(work: Callable[[], Awaitable[Result]]) -> Result:
    """The result of foreign code; what would end the loop, as `sys.exit()` does, is a `RuntimeError`."""
    try:
        return await work()
    except (Exception, asyncio.CancelledError):
        raise
    except GeneratorExit as error:
        # By `close()` it is raised here; what has come from within, the foreign code has raised.
        if error.__traceback__ is None or error.__traceback__.tb_next is None:
            raise
        raise RuntimeError(text_of(error)) from error
    except BaseException as error:  # a task lets it through to the loop
        raise RuntimeError(text_of(error)) from error


def _in_thread(function: Callable[..., object], arguments: dict[str, Any]) -> "asyncio.Future[object]":
    future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    work = settling(future, partial(contextvars.copy_context().run, function, **arguments))
    threading.Thread(target=work, name=getattr(function, "__name__", "call"), daemon=True).start()
    return future


def settling(future: "asyncio.Future[Any]", function: Callable[[], object]) -> Callable[[], None]:
    """What calls a function in another thread, and tells the future on its loop what became of it.

    Args:
        future: Made by the loop on which it is awaited; nobody need wait for it any more.
        function: Is called; what would end the loop, and what no future can hold, becomes a `RuntimeError`.
    """
    loop = future.get_loop()

    def settle(result: object, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        elif isinstance(error, Exception) and not isinstance(error, StopIteration):
            future.set_exception(error)
        else:  # it would end the loop, or a future cannot hold it
            refused = RuntimeError(text_of(error))
            refused.__cause__ = error
            future.set_exception(refused)

    def work() -> None:
        result, fault = None, None
        try:
            result = function()
        except BaseException as error:  # noqa: BLE001  # it is raised where the call is awaited
            fault = error
        # Once the loop is closed, nobody waits for the result any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, result, fault)

    return work
