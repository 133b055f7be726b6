"""Channels grouped so that few requests read them all. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from iotxmpp.agent.drivers.modbus.bindings import BITS, Binding, Function
from iotxmpp.readings import Value

MOST_REGISTERS = 125
"""Registers that one request reads at most (Modbus application protocol 1.1b3, section 6.3)."""

MOST_BITS = 2000
"""Coils or discrete inputs that one request reads at most (section 6.1)."""

WIDEST_GAP = 8
"""Registers between two channels that are read along rather than asked for apart."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """What one request reads.

    Attributes:
        function: The table.
        start: The first register, or coil.
        count: How many.
        bindings: The channels in it.
    """

    function: Function
    start: int
    count: int
    bindings: tuple[Binding, ...]

    def values(self, registers: list[int]) -> Iterator[tuple[str, Value]]:
        """The channels that have a value.

        Args:
            registers: What was read: `count` registers, or coils as 0 and 1.
        """
        for binding in self.bindings:
            value = binding.shown(registers[binding.start - self.start : binding.end - self.start])
            if value is not None:
                yield binding.channel, value

    def apart(self) -> "list[Block]":
        """For a device that refuses it: without what is between the channels, or else each by itself."""
        close = blocks(self.bindings, gap=0)
        return close if len(close) > 1 else [_block((binding,)) for binding in self.bindings]


def blocks(bound: Iterable[Binding], *, gap: int = WIDEST_GAP) -> list[Block]:
    """As few requests as are sensible for all channels; none spans two tables.

    Args:
        bound: The channels.
        gap: Registers between two channels that are read along at most.
    """
    ordered = sorted(bound, key=lambda each: (each.source.function, each.start, each.end))
    groups: list[list[Binding]] = []
    end = 0  # of the last group
    for binding in ordered:
        if groups and _belongs(groups[-1][0], end, binding, gap):
            groups[-1].append(binding)
            end = max(end, binding.end)
        else:
            groups.append([binding])
            end = binding.end
    return [_block(tuple(group)) for group in groups]


def _belongs(first: Binding, end: int, binding: Binding, gap: int) -> bool:
    function = binding.source.function
    most = MOST_BITS if function in BITS else MOST_REGISTERS
    return (
        first.source.function == function
        and binding.start - end <= gap
        and max(end, binding.end) - first.start <= most
    )


def _block(group: tuple[Binding, ...]) -> Block:
    start = group[0].start
    end = max(each.end for each in group)
    return Block(function=group[0].source.function, start=start, count=end - start, bindings=group)
