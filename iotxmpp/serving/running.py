"""Runs a command's function, and says how that ended."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from iotxmpp.commands import Outcome, wrong_arguments_error
from iotxmpp.commands.refusals import LONGEST_NOTE
from iotxmpp.errors import (
    ArgumentsError,
    CommandError,
    CommandUnknownError,
    IotxmppError,
    NotAllowedError,
    UnknownCommandError,
    UnknownDeviceError,
    stanza_error,
)
from iotxmpp.serving.command import Command
from iotxmpp.serving.offloop import call as call_function
from iotxmpp.serving.offloop import text_of
from iotxmpp.xmltext import clean_text

_LOGGER = logging.getLogger(__name__)


async def run(command: Command, arguments: Mapping[str, Any], label: str) -> Outcome:
    """Calls a command's function; what it raises is how it failed, or that it refuses the call."""
    try:
        result = await call_function(command.function, **arguments)
    except ArgumentsError as error:  # a driver's own check
        return Outcome.of_refusal(wrong_arguments_error(error))
    except (NotAllowedError, UnknownCommandError, UnknownDeviceError) as error:  # a desk's own checks
        return _refused(error)
    except CommandError as error:
        _LOGGER.warning("command %s failed: %s", label, error)
        return _failed(str(error), known=not isinstance(error, CommandUnknownError))
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        _LOGGER.warning("command %s was cancelled by itself", label)
        return _failed(f"it was cancelled on the device: {error}")
    except Exception as error:
        _LOGGER.exception("command %s failed", label)
        return _failed(text_of(error))
    outcome = Outcome.of_result(result)
    if outcome.kind == "failed":
        _LOGGER.error("command %s: %s", label, outcome.text)
    return outcome


def _failed(text: str, *, known: bool = True) -> Outcome:
    """Its text fits a journal and a stanza; a file's name in an `OSError` may hold surrogates."""
    return Outcome(kind="failed" if known else "unknown", text=clean_text(text, LONGEST_NOTE))


def _refused(error: IotxmppError) -> Outcome:
    condition = "forbidden" if isinstance(error, NotAllowedError) else "item-not-found"
    return Outcome.of_refusal(stanza_error(condition, clean_text(str(error), LONGEST_NOTE)))
