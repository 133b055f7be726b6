"""Runs checks: each for a bounded time, and none ends the others."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Literal

from iotxmpp.agent.drivers import off_loop
from iotxmpp.doctor.finding import Finding, fault

WITHIN = 20.0
"""Seconds that one check has."""

Group = Literal["hardware", "machine", "server"]
Work = Callable[[], Awaitable[list[Finding]]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One check.

    Attributes:
        group: Where its findings are shown.
        name: Its name.
        work: What it does.
    """

    group: Group
    name: str
    work: Work


def plain(group: Group, name: str, function: Callable[[], list[Finding]]) -> Check:
    """A check that blocks; it runs in a thread that hinders nobody if it hangs."""
    return Check(group=group, name=name, work=lambda: off_loop(function))


async def run_check(check: Check, within: float = WITHIN) -> list[Finding]:
    """Its findings; one that breaks or hangs is itself a finding."""
    try:
        async with asyncio.timeout(within):
            findings = await check.work()
    except TimeoutError:
        findings = [
            fault(f"the check {check.name} did not end within {within:g} s", "what it looks at hangs")
        ]
    except Exception as error:  # noqa: BLE001  # one broken check must not end the others
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        findings = [fault(f"the check {check.name} could not be made", " ".join(text.split())[:300])]
    return [replace(each, check=check.name) for each in findings]
