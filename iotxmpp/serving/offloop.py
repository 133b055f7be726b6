"""Calls of users' functions: coroutine functions on the loop, plain ones in a thread of their own.

Each call has its own daemon thread: a shared pool would fill with functions that hang, and both the pool and
the interpreter would wait for them at exit.
"""

import asyncio
import contextlib
import contextvars
import inspect
import threading
from collections.abc import Callable
from typing import Any


async def call(function: Callable[..., object], /, **arguments: Any) -> Any:  # noqa: ANN401  # the user's own
    """Calls the function and returns its result; whatever it raises is raised."""
    if inspect.iscoroutinefunction(function):
        return await function(**arguments)
    result = await _in_thread(function, arguments)
    return await result if inspect.isawaitable(result) else result


def _in_thread(function: Callable[..., object], arguments: dict[str, Any]) -> "asyncio.Future[object]":
    loop = asyncio.get_running_loop()
    future: asyncio.Future[object] = loop.create_future()
    context = contextvars.copy_context()

    def settle(result: object, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        elif isinstance(error, Exception) and not isinstance(error, StopIteration):
            future.set_exception(error)
        else:  # it would end the loop, or a future cannot hold it
            future.set_exception(RuntimeError(f"{type(error).__name__}: {error}"))

    def work() -> None:
        result, fault = None, None
        try:
            result = context.run(function, **arguments)
        except BaseException as error:  # noqa: BLE001  # it is raised where the call is awaited
            fault = error
        # Once the loop is closed, nobody waits for the result any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, result, fault)

    threading.Thread(target=work, name=getattr(function, "__name__", "call"), daemon=True).start()
    return future
