"""What happens at each new session: the self-description first, readings after it."""

import asyncio
import contextlib
import logging

from iotxmpp.agent.plan import Plan
from iotxmpp.agent.presence import Problems, missing_node
from iotxmpp.backoff import Backoff
from iotxmpp.errors import (
    ForbiddenError,
    InvalidError,
    LinkDownError,
    NoAnswerError,
    NotFoundError,
    StanzaError,
)
from iotxmpp.link import Link, LinkState
from iotxmpp.payloads import json_element

ABOUT_ITEM = "current"
"""The id of the one item on a device's `about` node."""

_LOGGER = logging.getLogger(__name__)


class Introduction:
    """Publishes the self-description at each new session, until it is accepted.

    Attributes:
        done: Set while readings may go out: the link is up, and this session's self-description is accepted.
    """

    def __init__(self, link: Link, *, plan: Plan, problems: Problems, backoff: Backoff) -> None:
        """Makes one.

        Args:
            link: Where to publish.
            plan: The device.
            problems: Where to say what does not work.
            backoff: When to try again what was not accepted.
        """
        self.done = asyncio.Event()
        self._link = link
        self._device = plan.device
        self._node = plan.nodes.about
        self._about = plan.about().model_dump_json()
        self._problems = problems
        self._backoff = backoff
        self._accepted = False
        self._new_session = asyncio.Event()
        self.state_changed(link.state)

    def state_changed(self, state: LinkState) -> None:
        """Takes note of the link's state; a handler for `Link.on_state`."""
        if not state.up:
            self.done.clear()
        elif state.resumed and self._accepted:
            self.done.set()
        else:
            self._accepted = False
            self.done.clear()
            self._new_session.set()

    async def run(self) -> None:
        """Introduces the device until it is cancelled."""
        delay: float | None = None
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._new_session.wait()
            self._new_session.clear()
            accepted = await self._publish()
            if accepted:
                self._backoff.reset()
            # What was said to a session that is over has to be said again to the next one.
            if accepted and self._link.state.up and not self._new_session.is_set():
                self._accepted = True
                self.done.set()
                _LOGGER.info("%s is online as %s", self._device, self._link.jid)
            delay = self._backoff.next_delay() if self._link.state.up and not accepted else None

    async def _publish(self) -> bool:
        try:
            await self._link.publish(self._node, json_element(self._about), item_id=ABOUT_ITEM)
        except (LinkDownError, NoAnswerError) as error:
            _LOGGER.info("%s: %s; it goes out again", self._node.node, error)
        except (ForbiddenError, NotFoundError) as error:
            self._problems.report("about", missing_node(self._node, self._device, error))
        except (StanzaError, InvalidError) as error:
            self._problems.report(
                "about", f"{self._node.node}: the self-description was not accepted: {error}"
            )
        else:
            self._problems.clear("about")
            return True
        return False
