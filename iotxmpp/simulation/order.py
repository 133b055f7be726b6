"""What is to be simulated: devices of which kinds, and which of them have which fault."""

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import device_profiles
from iotxmpp.addresses import DeviceId, device_id
from iotxmpp.agent.drivers.faults import NAMES, Fault, FaultName
from iotxmpp.agent.drivers.signals import chance
from iotxmpp.errors import ConfigError, InvalidError
from iotxmpp.profiles import Profile

MOST = 1000
"""Devices that one process simulates at most."""

A_TURN = 600.0
"""Seconds in which each fault is on once, where the simulation has no end of its own."""

_LEAST_DIGITS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """One simulated device.

    Attributes:
        device: Its id.
        profile: Its kind.
        seed: Seeds its signals.
        fault: What is wrong with it at times; None for nothing.
    """

    device: DeviceId
    profile: Profile
    seed: str
    fault: Fault | None = None


def members(  # noqa: PLR0913  # what the command line can say
    profiles: Sequence[str],
    faults: Sequence[str] = (),
    *,
    count: int = 1,
    prefix: str = "",
    seed: int = 0,
    seconds: float | None = None,
) -> tuple[Member, ...]:
    """The devices that are asked for.

    Args:
        profiles: Shipped profiles' names and profiles' files, each perhaps with a number: `bme280=60`.
        faults: Names of faults with numbers of devices: `stuck=3`.
        count: How many devices a profile without a number has.
        prefix: Goes before each device's id.
        seed: Seeds everything.
        seconds: How long the simulation runs, if that is known: each fault is on once in that time.

    Raises:
        ConfigError: A profile is unknown or wrong, given twice, or a number or a fault makes no sense.
    """
    if not profiles:
        raise ConfigError(f"--profile: name a kind of device, such as bme280; there is {_known_profiles()}")
    wanted = [_wanted(each, count) for each in profiles]
    total = sum(number for _, number in wanted)
    if total > MOST:
        raise ConfigError(
            f"{total} devices: one process simulates {MOST} at most; start several, by --prefix"
        )
    ids = [profile.id for profile, _ in wanted]
    for name in ids:
        if ids.count(name) > 1:
            raise ConfigError(f"--profile {name}: given twice; give it once, with the sum as its number")
    plain = [
        Member(device=device, profile=profile, seed=f"{seed}/{device}")
        for profile, number in wanted
        for device in _names(prefix, profile.id, number)
    ]
    kinds = _chosen(plain, _numbers(faults), seed)
    span = A_TURN if seconds is None else seconds
    return tuple(_with_fault(member, kinds.get(member.device), span) for member in plain)


def _wanted(given: str, count: int) -> tuple[Profile, int]:
    name, equals, number = given.rpartition("=")
    if not equals:
        return _profile(given), _number(count, "--count", str(count))
    return _profile(name), _number(_whole(number), f"--profile {given}", number)


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None  # noqa: PLR2004  # digits


def _number(number: int | None, where: str, given: str) -> int:
    if number is None or not 1 <= number <= MOST:
        raise ConfigError(f"{where}: {given[:20]!r} devices: give a number from 1 to {MOST}")
    return number


def _profile(name: str) -> Profile:
    return device_profiles.load_file(name) if name.endswith(".toml") else device_profiles.load(name)


def _known_profiles() -> str:
    return ", ".join(device_profiles.names())


def _names(prefix: str, kind: str, number: int) -> list[DeviceId]:
    digits = max(_LEAST_DIGITS, math.floor(math.log10(number)) + 1)
    try:
        return [device_id(f"{prefix}{kind}-{n:0{digits}}") for n in range(1, number + 1)]
    except InvalidError as error:
        raise ConfigError(f"--prefix {prefix!r}: {error}") from error


def _numbers(faults: Sequence[str]) -> dict[FaultName, int]:
    found: dict[FaultName, int] = {}
    for given in faults:
        name, equals, number = given.partition("=")
        kind = next((each for each in NAMES if each == name), None)
        if kind is None:
            close = difflib.get_close_matches(name[:20], NAMES, n=1)
            hint = f"did you mean {close[0]}?" if close else f"choose {', '.join(NAMES)}"
            raise ConfigError(f"--fault {given[:40]!r}: no such fault; {hint}")
        devices = _whole(number) if equals else 1
        if not devices:
            raise ConfigError(f"--fault {given[:40]!r}: give a number of devices, such as {kind}=3")
        if kind in found:
            raise ConfigError(f"--fault {kind}: given twice; give it once, with the sum as its number")
        found[kind] = devices
    return found


def _chosen(
    plain: Sequence[Member], numbers: Mapping[FaultName, int], seed: int
) -> dict[DeviceId, FaultName]:
    """A device has one fault at most; which one is chance's choice."""
    asked = sum(numbers.values())
    if asked > len(plain):
        raise ConfigError(
            f"--fault: {asked} devices with faults, but there are {len(plain)}; each has one at most"
        )
    mixed = sorted(plain, key=lambda member: chance(f"{seed}/faults/{member.device}", 0))
    kinds = [kind for kind in NAMES for _ in range(numbers.get(kind, 0))]
    return {member.device: kind for member, kind in zip(mixed, kinds, strict=False)}


def _with_fault(member: Member, kind: FaultName | None, span: float) -> Member:
    if kind is None:
        return member
    fault = Fault(kind=kind, seed=f"{member.seed}/{kind}", span=span)
    return Member(device=member.device, profile=member.profile, seed=member.seed, fault=fault)
