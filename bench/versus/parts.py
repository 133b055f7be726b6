"""The parts of `speed.py`, in the order of the page."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from versus import (
    part_batches,
    part_commands,
    part_fleet,
    part_latency,
    part_limit,
    part_memory,
    part_singles,
    part_wire,
)
from versus.goals import Outcome
from versus.stage import Stage


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One comparison.

    Attributes:
        title: The heading of its section.
        measure: Measures it.
        sizes: How much is measured, by the name of the size.
    """

    title: str
    measure: Callable[[Stage, Any], Awaitable[Outcome]]
    sizes: dict[str, Any]


SIZES = ("full", "quick", "tiny")
_MODULES: dict[str, tuple[str, Any]] = {
    "singles": ("One busy device, reading by reading", part_singles),
    "batches": ("One busy device, 50 readings a message", part_batches),
    "fleet": ("A hundred devices", part_fleet),
    "latency": ("Latency, both sides", part_latency),
    "commands": ("Commands", part_commands),
    "limit": ("The server's limit", part_limit),
    "wire": ("Bytes on the wire", part_wire),
    "memory": ("Memory of a device", part_memory),
}
PARTS = {
    name: Part(
        title=title,
        measure=module.measure,
        sizes={"full": module.Sizes(), "quick": module.QUICK, "tiny": module.TINY},
    )
    for name, (title, module) in _MODULES.items()
}
