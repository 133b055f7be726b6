"""What a run of commands is made of, drawn from a seed: each command, and what befalls it on its way."""

import random
from dataclasses import dataclass, replace
from typing import Literal

Way = Literal["queue", "call"]
What = Literal["reset", "black-hole", "cut", "kill-device", "kill-caller"]
Side = Literal["device", "caller"]

CUTS: tuple[What, ...] = ("reset", "black-hole", "cut")
DEVICE_LABELS = ("", "journal.begun", "command.ran", "journal.finished")
CALLER_LABELS = ("", "queue.committed", "queue.sent", "queue.answered")
MOST_CUT = 1200
LONG = 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Blow:
    """What befalls a command.

    Attributes:
        what: A cut of the link, or a SIGKILL.
        side: Whose link or process.
        delay: Seconds after the command has set out.
        seconds: How long a black hole lasts; it ends with a reset.
        count: Bytes that pass before a cut in the middle of a stanza.
        label: The crash point at which a process dies; empty for a moment of no importance.
    """

    what: What
    side: Side
    delay: float = 0.0
    seconds: float = 0.0
    count: int = 0
    label: str = ""

    def __str__(self) -> str:
        return f"{self.what} at the {self.side}'s side {self.label}".rstrip()


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One command.

    Attributes:
        token: Its number, from 1; the command's own argument, so that the device can write it down.
        device: The id of its device.
        way: Queued with a ttl, or called at once.
        ttl: How long it may wait.
        wrong: Its arguments are wrong, so that it is rejected.
        fails: Its function raises after it has acted.
        cancel_after: Seconds after which it is cancelled; None for never.
        blow: What befalls it.
    """

    token: int
    device: str
    way: Way
    ttl: float = LONG
    wrong: bool = False
    fails: bool = False
    cancel_after: float | None = None
    blow: Blow | None = None

    @property
    def hurried(self) -> bool:
        """Whether it may end before it is sent; then its blow falls when it is queued."""
        return self.way == "call" or self.wrong or self.ttl < LONG or self.cancel_after is not None

    @property
    def arguments(self) -> dict[str, object]:
        """The command's arguments."""
        return {"token": self.token, "fails": "perhaps" if self.wrong else self.fails}


@dataclass(frozen=True, kw_only=True, slots=True)
class Shares:
    """How much of what there is, each as a share of all commands.

    Attributes:
        cuts: Commands in which a link is cut.
        device_kills: Commands in which the device is killed.
        caller_kills: Commands in which the controller is killed.
        labels: The crash points of the device; an empty one is a moment of no importance.
        hole: The least and the most seconds of a black hole.
    """

    cuts: float = 0.1
    device_kills: float = 0.01
    caller_kills: float = 0.001
    labels: tuple[str, ...] = DEVICE_LABELS
    hole: tuple[float, float] = (0.2, 2.0)


def draw(seed: int, count: int, devices: list[str], shares: Shares) -> list[Step]:
    """So many commands, in the order of their numbers, and the blows that the shares ask for."""
    chance = random.Random(seed)  # noqa: S311  # chaos that can be repeated, no secret
    steps = [_drawn(token, chance, devices) for token in range(1, count + 1)]
    blows = [
        *(_cut(chance, shares) for _ in range(round(count * shares.cuts))),
        *(
            _kill("kill-device", "device", chance, shares.labels[index % len(shares.labels)])
            for index in range(round(count * shares.device_kills))
        ),
        *(
            _kill("kill-caller", "caller", chance, CALLER_LABELS[index % len(CALLER_LABELS)])
            for index in range(round(count * shares.caller_kills))
        ),
    ]
    for index, blow in zip(chance.sample(range(count), len(blows)), blows, strict=True):
        steps[index] = replace(steps[index], blow=blow)
    return steps


def _drawn(token: int, chance: random.Random, devices: list[str]) -> Step:
    step = Step(
        token=token,
        device=chance.choice(devices),
        way="call" if chance.random() < 0.2 else "queue",
        wrong=chance.random() < 0.02,
        fails=chance.random() < 0.04,
    )
    if step.way == "queue" and chance.random() < 0.05:
        return replace(step, ttl=chance.uniform(0.02, 1.0))
    if step.way == "queue" and chance.random() < 0.05:
        return replace(step, cancel_after=chance.uniform(0.0, 0.3))
    return step


def _cut(chance: random.Random, shares: Shares) -> Blow:
    what, side = chance.choice(CUTS), chance.choice(("device", "caller"))
    return Blow(
        what=what,
        side="device" if side == "device" else "caller",
        delay=0.0 if what == "cut" else chance.uniform(0.0, 0.05),
        seconds=chance.uniform(*shares.hole),
        count=chance.randrange(1, MOST_CUT),
    )


def _kill(what: What, side: Side, chance: random.Random, label: str) -> Blow:
    return Blow(what=what, side=side, delay=0.0 if label else chance.uniform(0.0, 0.08), label=label)
