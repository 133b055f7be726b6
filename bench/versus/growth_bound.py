"""What bounded a throughput, said from what was measured: who kept how much of the machine's cores busy."""

from collections.abc import Sequence

from versus.growth_point import Point

FULL = 0.85
"""So much of a core, or of all, counts as all of it: whoever is busy still sleeps a little for its disk."""

_KB = 1024


def who_is_busy(points: Sequence[Point], cores: int, size: str) -> str:
    """Says it for the smallest and for the largest size.

    Args:
        points: What was measured.
        cores: The machine's.
        size: What grows, for people.
    """
    return " ".join(_busy(point, cores, size) for point in (points[0], points[-1]))


def _busy(point: Point, cores: int, size: str) -> str:
    device, server, controller, others = (
        point.median(f"{end}_cores") for end in ("device", "server", "controller", "other")
    )
    several = point.processes > 1
    agents = f"the agents' {point.processes} processes" if several else "the agent's process"
    kept = (
        f"{agents} kept {device:.2f} cores busy, Prosody {server:.2f}, the controller {controller:.2f},"
        f" and all else on the machine {others:.2f}"
    )
    each = {
        f"each of {agents}" if several else agents: device / point.processes,
        "Prosody's one thread": server,
        "the controller's process": controller,
    }
    busiest = max(each, key=lambda name: each[name])
    if device + server + controller + others >= FULL * cores:
        verdict = f"all {cores} cores of the machine are full"
    elif each[busiest] >= FULL:
        verdict = f"{busiest} is full, which is about as much as one core gives it"
    else:
        verdict = "nobody is full: they wait for each other, for answers, commits and acks"
    return f"At {counted(point, size)} {kept}; {verdict}."


def counted(point: Point, size: str) -> str:
    """The size in words, such as "1 device" or "10 devices"."""
    many, *rest = size.split(" ", 1)
    return " ".join([f"{point.size:,}", many.removesuffix("s") if point.size == 1 else many, *rest])


def costs(points: Sequence[Point], size: str) -> str:
    """What a reading cost all three together, at the smallest and at the largest size."""
    (first, last) = (
        sum(point.median(f"{end}_cpu") for end in ("device", "server", "controller"))
        for point in (points[0], points[-1])
    )
    return (
        f"A reading took {first:,.0f} µs of all three together at {counted(points[0], size)},"
        f" and {last:,.0f} at {points[-1].size:,}."
    )


def packs(points: Sequence[Point], size: str) -> str:
    """How many readings a pack had."""
    told = ", ".join(f"{point.median('together'):,.3g} at {point.size:,}" for point in points)
    return f"Readings a pack, by {size}: {told}."


def memory_between(points: Sequence[Point]) -> str:
    """From the least to the most memory of each side, over all sizes."""
    told = {"an agent": "device", "the controller": "controller", "Prosody": "server"}
    spans = []
    for name, what in told.items():
        found = [point.median(what) for point in points]
        spans.append(f"{name} had {min(found):.1f} to {max(found):.1f} MB")
    return f"Over all sizes {', '.join(spans)}."


def memory_for_each(points: Sequence[Point], one: str) -> str:
    """What each further one cost on average, from the smallest size to the largest.

    Args:
        points: What was measured.
        one: What there are more of.
    """
    first, last = points[0], points[-1]
    more = last.size - first.size
    agents = last.median("device") * last.size - first.median("device") * first.size
    told = {
        "the agents' processes": agents,
        "the controller": last.median("controller") - first.median("controller"),
        "Prosody": last.median("server") - first.median("server"),
    }
    said = ", ".join(f"{name} {grown / more * _KB:,.0f} KB" for name, grown in told.items())
    return (
        f"From {first.size:,} to {last.size:,} each further {one} cost, further processes included: {said}."
    )
