"""Progress bars on a terminal's standard error; nothing is shown where it is none."""

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

from iotxmpp.xmltext import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID


class Bar:
    """One bar, which appears when there is something to show, and leaves nothing behind.

    Args:
        label: Stands before it.
        console: Where it is shown; standard error unless given.
    """

    def __init__(self, label: str, console: "Console | None" = None) -> None:
        self._label = label
        self._console = console
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def show(self, fraction: float | None, text: str) -> None:
        """Shows how much is done, from 0 to 1 or None where nobody can say; and a few words."""
        if self._progress is None:
            self._progress = self._started()
        if self._task is None:
            self._task = self._progress.add_task(self._label, total=1, text="")
        total = None if fraction is None else 1
        self._progress.update(self._task, total=total, completed=fraction or 0, text=printable(text))

    def _started(self) -> "Progress":
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        console = self._console or Console(stderr=True)
        progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[text]}", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
            # Rich would write what goes to a file to the terminal, too.
            redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),
        )
        progress.start()
        return progress
