"""Requests that are asked again while the server says that it fails for a moment."""

import asyncio
import logging
from typing import Final, Literal
from xml.etree.ElementTree import Element

from iotxmpp.backoff import Backoff
from iotxmpp.errors import StanzaError, stanza_error
from iotxmpp.link import Link

log = logging.getLogger("iotxmpp.xmpp")

PATIENCE: Final = 15.0
"""Seconds of waiting between the attempts of one request, in sum, before its error is raised."""

_PASSING: Final = ("internal-server-error", "resource-constraint")
_FIRST, _LONGEST = 0.1, 2.0


async def call_patiently(
    link: Link, to: str, payload: Element, *, kind: Literal["get", "set"] = "set"
) -> Element | None:
    """`Link.call` that goes on while the service has no resources, or an error of its own.

    ejabberd answers `internal-server-error` where two transactions of its database wait for each other: it
    undoes one of them, and does not begin it again. So this is for requests that may be carried out twice.

    Args:
        link: An open link.
        to: The service.
        payload: What to ask.
        kind: Whether it changes anything.

    Returns:
        The answer's payload.

    Raises:
        StanzaError: The service refused, or failed for `PATIENCE` (RFC 6120 sections 8.3.3.6 and 8.3.3.18).
        LinkDownError: The link is down or went down: the request may have been served.
        NoAnswerError: No answer in time: the request may have been served.
    """
    backoff, tried, waited = Backoff(first=_FIRST, longest=_LONGEST), 0, 0.0
    while True:
        tried += 1
        try:
            return await link.call(to, payload, kind=kind)
        except StanzaError as error:
            if error.condition not in _PASSING:
                raise
            if waited >= PATIENCE:
                raise _given_up(error, to, tried) from error
            log.info("%s: %s; trying again", to, error)
        delay = backoff.next_delay()
        waited += delay
        await asyncio.sleep(delay)


def _given_up(error: StanzaError, to: str, tried: int) -> StanzaError:
    """The same error, with what to do."""
    says = f"{error.text}; " if error.text else ""
    advice = f"{to} failed {tried} times; try again later, and see its log if that does not help"
    return stanza_error(error.condition, f"{says}{advice}", error.detail)
