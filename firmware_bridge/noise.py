"""A wire with faults, for tests and simulations. No I/O."""

import random


class NoisyWire:
    """Carries bytes one way, with faults from a seed: the same calls give the same faults.

    Args:
        seed: Where the faults come from.
        damage: The part of the bytes that becomes another byte.
        lose: The part of the bytes that is lost.
        repeat: The part of the bytes that comes twice.
        cut: The part of the reads that is lost whole.
    """

    def __init__(
        self, seed: int, *, damage: float = 0.0, lose: float = 0.0, repeat: float = 0.0, cut: float = 0.0
    ) -> None:
        self._random = random.Random(seed)  # noqa: S311  # faults that can be had again
        self.damage, self.lose, self.repeat, self.cut = damage, lose, repeat, cut

    def heal(self) -> None:
        """Has no more faults."""
        self.damage = self.lose = self.repeat = self.cut = 0.0

    def carry(self, data: bytes) -> bytes:
        """What arrives of these bytes."""
        faults = self.damage + self.lose + self.repeat
        if not data or self._random.random() < self.cut:
            return b""
        if not faults:
            return data
        out = bytearray()
        for byte in data:
            chance = self._random.random()
            if chance < self.damage:
                out.append(byte ^ self._random.randrange(1, 256))
            elif chance < self.damage + self.lose:
                continue
            else:
                out += bytes((byte,)) * (2 if chance < faults else 1)
        return bytes(out)
