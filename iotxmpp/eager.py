"""Tasks whose first step runs at once, where they are started, instead of in the loop's next turn.

As Python 3.12's eager tasks: what ends in that step costs nobody a turn of the loop. All else is as in any
task: it has its own context, is the current task meanwhile, and can be cancelled.
"""

import asyncio
import contextvars
from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class _Begun(Coroutine[Any, Any, T], Generic[T]):
    """A coroutine whose first step runs before its task's; the task then gets what that step gave."""

    __slots__ = ("_awaited", "_began", "_coroutine", "_end", "_told")

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine
        self._began = False
        self._told = False
        self._awaited: Any = None
        self._end: BaseException | None = None

    def begin(self) -> None:
        """Runs the first step."""
        self._began = True
        try:
            self._awaited = self._coroutine.send(None)
        except BaseException as end:  # noqa: BLE001  # its task raises it, in the loop
            self._end = end

    def send(self, value: Any, /) -> Any:  # noqa: ANN401  # whatever is awaited
        """Goes on; at first with what the first step gave."""
        if not self._began or self._told:
            return self._coroutine.send(value)
        self._told = True
        if self._end is not None:
            raise self._end
        return self._awaited

    def throw(self, *error: Any) -> Any:  # noqa: ANN401  # as above
        """Raises an error where it waits; a cancellation reaches what it waits for, as in any task."""
        if not self._began or self._told:
            return self._coroutine.throw(*error)
        self._told = True
        if self._end is not None:  # it has ended: too late
            raise self._end
        if self._awaited is not None and self._awaited.cancel():
            return self._awaited
        return self._coroutine.throw(*error)

    def close(self) -> None:
        """Ends it."""
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, T]:
        return self._coroutine.__await__()


class EagerTask(Generic[T]):
    """A task that is there before its first step.

    Attributes:
        task: The task.
    """

    __slots__ = ("_begun", "_context", "_loop", "task")

    def __init__(self, coroutine: Coroutine[Any, Any, T], *, name: str) -> None:
        """Makes the task; nothing of it runs yet."""
        self._loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()
        self._begun = _Begun(coroutine)
        self.task: asyncio.Task[T] = self._loop.create_task(self._begun, name=name, context=self._context)

    def begin(self) -> None:
        """Runs its first step now; once, and before the loop's next turn."""
        # These are asyncio's for tasks of one's own making (Python's manual: "Extending").
        outer = asyncio.current_task(self._loop)
        if outer is not None:
            asyncio.tasks._leave_task(self._loop, outer)  # noqa: SLF001  # see above
        asyncio.tasks._enter_task(self._loop, self.task)  # noqa: SLF001  # see above
        try:
            self._context.run(self._begun.begin)
        finally:
            asyncio.tasks._leave_task(self._loop, self.task)  # noqa: SLF001  # see above
            if outer is not None:
                asyncio.tasks._enter_task(self._loop, outer)  # noqa: SLF001  # see above
