"""Learns what a board has, by its descriptions or from what is remembered of boards like it. No I/O."""

from collections.abc import MutableMapping

from firmware_bridge.description import Description
from firmware_bridge.messages import Describe, Hello
from iotxmpp.errors import InvalidError

LEAST_RX = 16
"""Bytes that a board must be able to take as one frame: the longest but for a call's."""

MOST_KNOWN = 64
"""Descriptions that are remembered at most; the oldest goes first."""

Known = MutableMapping[tuple[str, str, int], Description]
"""Descriptions that are remembered, by name, version and schema."""


class Learner:
    """Puts one board's description together.

    Args:
        known: Descriptions that are remembered.
    """

    def __init__(self, known: Known) -> None:
        self._known = known
        self._hello: Hello | None = None
        self._bodies: list[bytes] = []

    def stop(self) -> None:
        """There is nothing to learn."""
        self._hello = None
        self._bodies.clear()

    def begin(self, hello: Hello) -> Description | None:
        """Begins with a hello.

        Returns:
            What is remembered of such boards; None if it is to be asked for, or is yet to be completed.

        Raises:
            InvalidError: The board cannot be served.
        """
        self.stop()
        if hello.rx < LEAST_RX:
            raise InvalidError(
                f"board {hello.id}: it takes frames of {hello.rx} bytes; give its firmware a buffer of at"
                f" least {LEAST_RX}"
            )
        known = self._known.get((hello.name, hello.version, hello.schema))
        if known is not None and (len(known.channels), len(known.commands)) == (
            hello.channels,
            hello.commands,
        ):
            return known
        self._hello = hello
        return self._whole()

    def question(self) -> Describe | None:
        """What to ask next; None if nothing is to be learnt."""
        if self._hello is None:
            return None
        done = len(self._bodies)
        if done < self._hello.channels:
            return Describe(index=done)
        return Describe(command=True, index=done - self._hello.channels)

    def take(self, body: bytes) -> Description | None:
        """Takes the answer to `question`, the body of a CHANNEL or COMMAND.

        Returns:
            The description, if that was the last.

        Raises:
            InvalidError: The descriptions contradict each other or the hello.
        """
        self._bodies.append(body)
        return self._whole()

    def _whole(self) -> Description | None:
        hello = self._hello
        if hello is None or len(self._bodies) < hello.channels + hello.commands:
            return None
        who = f"board {hello.id} ({hello.name} {hello.version})"
        description = Description.parse(self._bodies, hello.schema, who)
        while len(self._known) >= MOST_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[hello.name, hello.version, hello.schema] = description
        self.stop()
        return description
