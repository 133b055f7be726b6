"""What a driver is that holds nothing open between two reads."""

from types import TracebackType
from typing import Self


class Unopened:
    """A driver without an opening and a release."""

    async def __aenter__(self) -> Self:
        """There is nothing to open."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """There is nothing to release."""
