"""Calibration of one device: what its sensors show, put right by a scale and an offset."""

import math
from collections.abc import Callable, Mapping
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from iotxmpp.about import ValueType
from iotxmpp.errors import ConfigError
from iotxmpp.faulttexts import guess
from iotxmpp.kinds import Finite
from iotxmpp.profiles import Profile
from iotxmpp.readings import Value


def _not_zero(scale: float) -> float:
    if not scale:
        raise ValueError("0 makes all values alike; use 1 to leave them as they are")
    return scale


class Calibration(BaseModel):
    """What makes a shown value a true one: shown * scale + offset.

    Attributes:
        offset: What is added, in the channel's unit.
        scale: What is multiplied with first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    offset: Finite = 0.0
    scale: Annotated[Finite, AfterValidator(_not_zero)] = 1.0

    def true(self, shown: Value, kind: ValueType) -> Value:
        """The true value of a shown one, in the channel's type.

        What is no number comes back as it is, and one that becomes too great as infinity: the check of a
        channel's values refuses both, of that channel alone.
        """
        if isinstance(shown, bool) or not isinstance(shown, int | float):
            return shown
        try:
            value = shown * self.scale + self.offset
        except OverflowError:  # an int beyond every float
            return math.inf
        return round(value) if kind == "int" and math.isfinite(value) else value


Calibrate = Callable[[Mapping[str, Value]], dict[str, Value]]
"""Puts a driver's values by channel right."""


def calibrator(profile: Profile, table: Mapping[str, Calibration]) -> Calibrate:
    """What puts a driver's values right, before their range is checked.

    Args:
        profile: The kind of device.
        table: Calibrations by the profile's names: of one channel such as `moisture/2`, or of a reading such
            as `moisture` for all of its channels; the channel's own goes first.

    Raises:
        ConfigError: A name is not in the profile, or its values are no numbers.
    """
    by_channel: dict[str, Calibration] = {}
    kinds = {name: kind.type for name, kind in profile.reading_kinds().items()}
    named = profile.channels_meant()
    for name, calibration in table.items():
        channels = named.get(name, [])
        if not channels:
            raise ConfigError(
                f"calibration.{name}: profile {profile.id} has no such channel{guess(name, kinds)}"
            )
        if kinds[channels[0]] not in ("float", "int"):
            raise ConfigError(
                f"calibration.{name}: it is {kinds[channels[0]]}; only numbers are calibrated; remove it"
            )
        own = name in kinds
        by_channel |= {each: calibration for each in channels if own or each not in table}

    def calibrated(values: Mapping[str, Value]) -> dict[str, Value]:
        return {
            channel: by_channel[channel].true(value, kinds[channel]) if channel in by_channel else value
            for channel, value in values.items()
        }

    return calibrated
