"""Runs a command's function, and says how that ended."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from iotxmpp.commands import Outcome, wrong_arguments_error
from iotxmpp.errors import ArgumentsError, CommandError
from iotxmpp.serving.command import Command
from iotxmpp.serving.offloop import call as call_function

_LOGGER = logging.getLogger(__name__)


async def run(command: Command, arguments: Mapping[str, Any], label: str) -> Outcome:
    """Calls a command's function; what it raises is how it failed."""
    try:
        result = await call_function(command.function, **arguments)
    except ArgumentsError as error:  # a driver's own check
        return Outcome.of_refusal(wrong_arguments_error(error))
    except CommandError as error:
        _LOGGER.warning("command %s failed: %s", label, error)
        return Outcome(kind="failed", text=str(error))
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        _LOGGER.warning("command %s was cancelled by itself", label)
        return Outcome(kind="failed", text=f"it was cancelled on the device: {error}")
    except Exception as error:
        _LOGGER.exception("command %s failed", label)
        return Outcome(kind="failed", text=f"{type(error).__name__}: {error}")
    outcome = Outcome.of_result(result)
    if outcome.kind == "failed":
        _LOGGER.error("command %s: %s", label, outcome.text)
    return outcome
