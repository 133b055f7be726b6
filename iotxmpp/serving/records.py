"""What is written down of calls, and what is said to be out of order."""

import contextlib
import json
import logging
import time
from typing import Protocol

from iotxmpp.errors import StoreError
from iotxmpp.serving.audit import Audit, AuditEntry, AuditResult
from iotxmpp.serving.call import Given
from iotxmpp.serving.command import Caller

_LOGGER = logging.getLogger(__name__)


class Problems(Protocol):
    """Where it is said what does not work."""

    def report(self, key: str, text: str) -> None:
        """Something does not work."""

    def clear(self, key: str) -> None:
        """It works again."""


class Records:
    """Writes lines into the audit, and tells problems."""

    def __init__(self, *, device: str, audit: Audit | None, problems: Problems | None) -> None:
        """Makes one.

        Args:
            device: Whose commands they are.
            audit: Where to write; None to write nothing.
            problems: Where to say what does not work; None for the log alone.
        """
        self._device = device
        self._audit = audit
        self._problems = problems

    def write(  # noqa: PLR0913  # what a line says
        self,
        caller: Caller,
        *,
        command: str,
        id: str = "",  # noqa: A002  # the wire's word
        result: AuditResult,
        text: str = "",
        given: Given = None,
    ) -> None:
        """Writes down what is about to happen.

        Raises:
            StoreError: It cannot be written; then it must not happen.
        """
        if self._audit is None:
            return
        arguments = given if isinstance(given, str) else json.dumps(dict(given), default=str) if given else ""
        entry = AuditEntry(
            time=time.time(),
            who=caller.jid,
            by=caller.by,
            device=self._device,
            command=command,
            id=id,
            door=caller.door,
            arguments=arguments,
            result=result,
            text=text,
        )
        try:
            self._audit.append(entry)
        except StoreError as error:
            self.report("audit", error)
            raise
        self.clear("audit")

    def note(  # noqa: PLR0913  # as above
        self,
        caller: Caller,
        *,
        command: str,
        id: str = "",  # noqa: A002  # as above
        result: AuditResult,
        text: str = "",
        given: Given = None,
    ) -> None:
        """Writes down what happened already; where that fails it is a problem, and nothing new starts."""
        with contextlib.suppress(StoreError):
            self.write(caller, command=command, id=id, result=result, text=text, given=given)

    def report(self, key: str, error: StoreError) -> None:
        """Something does not work."""
        if self._problems is None:
            _LOGGER.warning("commands: %s", error)
        else:
            self._problems.report(key, f"commands: {error}")

    def clear(self, key: str) -> None:
        """It works."""
        if self._problems is not None:
            self._problems.clear(key)
