"""What a driver says is wrong without being an error: asked for while it is open, forgotten at its close."""

import asyncio
from collections.abc import Callable, Mapping

from iotxmpp.agent.drivers import Troubled
from iotxmpp.agent.presence import Problems
from iotxmpp.serving.offloop import text_of

LOOK_EVERY = 1.0
"""Seconds between two questions."""

MOST = 16
"""Troubles of one driver that are told at most."""

Tell = Callable[[Mapping[str, str]], None]
"""Takes all that is wrong now, by key."""


async def watch(driver: Troubled, tell: Tell) -> None:
    """Tells what is wrong until it is cancelled; then, that nothing is."""
    try:
        while True:
            tell(_asked(driver))
            await asyncio.sleep(LOOK_EVERY)
    finally:
        tell({})


def _asked(driver: Troubled) -> Mapping[str, str]:
    try:
        return {f"{key}": f"{text}" for key, text in dict(driver.troubles()).items()}
    except BaseException as error:  # noqa: BLE001  # whatever a driver raises: it is not the agent's end
        return {"troubles": f"the driver cannot say what is wrong: {text_of(error)}"}


class Told:
    """The troubles of one driver that are problems of the device now.

    Args:
        label: The driver's name in their keys.
    """

    def __init__(self, label: str) -> None:
        self._label = label
        self._keys: frozenset[str] = frozenset()

    def tell(self, troubles: Mapping[str, str], problems: Problems) -> None:
        """Reports those that are there, and clears those that are gone."""
        some = dict(list(troubles.items())[:MOST])
        for key in self._keys - some.keys():
            problems.clear(self._key(key))
        for key, text in some.items():
            problems.report(self._key(key), f"{self._label}: {text}")
        self._keys = frozenset(some)

    def _key(self, key: str) -> str:
        return f"trouble {key} of {self._label}"
