"""What a receiver at one speed reads of what is sent at another, bit by bit as a UART samples the line."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable


def resampled(chunks: Iterable[tuple[float, bytes]], sent: float, read: float) -> bytes:
    """What is read at another speed; a stop bit that is low is not told, as a tty does not tell it.

    Args:
        chunks: What is sent, and from which second on.
        sent: The sender's baud.
        read: The receiver's.
    """
    times, levels = _edges(chunks, sent)

    def level(at: float) -> int:
        place = bisect_right(times, at) - 1
        return 1 if place < 0 else levels[place]

    out = bytearray()
    now = 0.0
    while (start := _next(times, levels, now, 0)) is not None:
        if level(start + 0.5 / read):  # a spike
            now = start + 0.5 / read
            continue
        byte = sum(level(start + (1.5 + bit) / read) << bit for bit in range(8))
        out.append(byte)
        now = start + 9.5 / read
        if not byte and not level(now):  # a break lasts until the line is high again
            end = _next(times, levels, now, 1)
            if end is None:
                break
            now = end
    return bytes(out)


def _edges(chunks: Iterable[tuple[float, bytes]], sent: float) -> tuple[list[float], list[int]]:
    """When the line changes, and to what; it rests high."""
    times: list[float] = []
    levels: list[int] = []
    now = 0.0
    for begin, data in chunks:
        now = max(now, begin)
        for byte in data:
            for bit in (0, *(byte >> place & 1 for place in range(8)), 1):
                if bit != (levels[-1] if levels else 1):
                    times.append(now)
                    levels.append(bit)
                now += 1 / sent
    return times, levels


def _next(times: list[float], levels: list[int], now: float, level: int) -> float | None:
    """When the line next changes to a level."""
    for place in range(bisect_left(times, now), len(times)):
        if levels[place] == level:
            return times[place]
    return None
