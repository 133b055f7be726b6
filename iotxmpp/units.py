"""SenML's units: RFC 8428 section 12.1, RFC 8798, and what their registry has taken in since."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from types import MappingProxyType

from iotxmpp.errors import InvalidError


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit:
    """One registered unit.

    Attributes:
        symbol: How SenML writes it.
        description: What it is.
        primary: The primary unit that it is a multiple of; its own symbol for a primary unit.
        scale: One of it is so many of the primary unit.
        offset: What is added after scaling, in the primary unit.
    """

    symbol: str
    description: str
    primary: str
    scale: float = 1.0
    offset: float = 0.0


_PRIMARY = """
m meter
kg kilogram
g gram (kg is preferred)
s second
A ampere
K kelvin
cd candela
mol mole
Hz hertz
rad radian
sr steradian
N newton
Pa pascal
J joule
W watt
C coulomb
V volt
F farad
Ohm ohm
S siemens
Wb weber
T tesla
H henry
Cel degrees Celsius
lm lumen
lx lux
Bq becquerel
Gy gray
Sv sievert
kat katal
m2 square meter
m3 cubic meter
l liter (m3 is preferred)
m/s meter per second
m/s2 meter per square second
m3/s cubic meter per second
l/s liter per second (m3/s is preferred)
W/m2 watt per square meter
cd/m2 candela per square meter
bit bit
bit/s bit per second
lat degrees latitude
lon degrees longitude
pH pH value
dB decibel
dBW decibel relative to 1 W
Bspl bel, sound pressure level (dB is preferred)
count counter value
/ ratio, from 0 to 1
% ratio, from 0 to 1 (/ is preferred)
%RH percent of relative humidity
%EL percent of remaining battery energy
EL seconds of remaining battery energy
1/s per second
1/min per minute (1/s is preferred)
beat/min heart beats per minute
beats heart beats
S/m siemens per meter
B byte
VA volt-ampere
VAs volt-ampere second
var volt-ampere reactive
vars volt-ampere reactive second
J/m joule per meter
kg/m3 kilogram per cubic meter
deg degree of angle (rad is preferred)
NTU nephelometric turbidity unit
"""

_SECONDARY = """
ms s 1/1000 0 millisecond
min s 60 0 minute
h s 3600 0 hour
MHz Hz 1000000 0 megahertz
kW W 1000 0 kilowatt
kVA VA 1000 0 kilovolt-ampere
kvar var 1000 0 kilovar
Ah C 3600 0 ampere-hour
Wh J 3600 0 watt-hour
kWh J 3600000 0 kilowatt-hour
varh vars 3600 0 var-hour
kvarh vars 3600000 0 kilovar-hour
VAh VAs 3600 0 volt-ampere-hour
kVAh VAs 3600000 0 kilovolt-ampere-hour
Wh/km J/m 3.6 0 watt-hour per kilometer
KiB B 1024 0 kibibyte
GB B 1e9 0 gigabyte
Mbit/s bit/s 1000000 0 megabit per second
B/s bit/s 8 0 byte per second
MB/s bit/s 8000000 0 megabyte per second
mV V 1/1000 0 millivolt
mA A 1/1000 0 milliampere
dBm dBW 1 -30 decibel relative to 1 mW
ug/m3 kg/m3 1e-9 0 microgram per cubic meter
mm/h m/s 1/3600000 0 millimeter per hour
m/h m/s 1/3600 0 meter per hour
ppm / 1e-6 0 parts per million
ppb / 1e-9 0 parts per billion
ppt / 1e-12 0 parts per trillion
/100 / 1/100 0 percent
/1000 / 1/1000 0 permille
hPa Pa 100 0 hectopascal
mm m 1/1000 0 millimeter
cm m 1/100 0 centimeter
km m 1000 0 kilometer
km/h m/s 10/36 0 kilometer per hour
mg/l kg/m3 1/1000 0 milligram per liter
ug/l kg/m3 1e-6 0 microgram per liter
g/l kg/m3 1 0 gram per liter
"""


def _registry() -> dict[str, Unit]:
    units = {}
    for line in _PRIMARY.strip().splitlines():
        symbol, description = line.split(maxsplit=1)
        units[symbol] = Unit(symbol=symbol, description=description, primary=symbol)
    for line in _SECONDARY.strip().splitlines():
        symbol, primary, scale, offset, description = line.split(maxsplit=4)
        units[symbol] = Unit(
            symbol=symbol,
            description=description,
            primary=primary,
            scale=float(Fraction(scale)),
            offset=float(offset),
        )
    return units


UNITS: Mapping[str, Unit] = MappingProxyType(_registry())
"""Every unit by its symbol."""

_NO_FAHRENHEIT = "SenML has no degrees Fahrenheit: convert the value and use Cel"
_AMBIGUOUS = {
    "C": "did you mean Cel? C is the coulomb; write a charge in Ah",
    "%": "did you mean %RH (humidity) or /100 (percent)? SenML's % is a ratio from 0 to 1; write that as /",
}
"""Registered, but nearly always meant as something else; each has another symbol for what SenML means."""

_HINTS = _AMBIGUOUS | {
    "": "leave the unit out of a value that has none",
    "°": "did you mean deg (an angle) or Cel (degrees Celsius)?",
    "°F": _NO_FAHRENHEIT,
    "degF": _NO_FAHRENHEIT,
    "fahrenheit": _NO_FAHRENHEIT,
    "kPa": "did you mean hPa? 1 kPa is 10 hPa",
    "bar": "did you mean hPa? 1 bar is 1000 hPa",
    "mbar": "did you mean hPa? 1 mbar is 1 hPa",
    "MB": "did you mean B, KiB or GB?",
    "kB": "did you mean B or KiB?",
    "kHz": "did you mean Hz or MHz?",
    "uS/cm": "did you mean S/m? 1 uS/cm is 0.0001 S/m",
    "l/min": "did you mean l/s? 60 l/min are 1 l/s",
    "l/h": "did you mean l/s? 3600 l/h are 1 l/s",
    "m3/h": "did you mean m3/s? 3600 m3/h are 1 m3/s",
    "MPa": "did you mean hPa? 1 MPa is 10000 hPa",
    "psi": "did you mean hPa? 1 psi is 68.95 hPa",
    "inHg": "did you mean hPa? 1 inHg is 33.86 hPa",
    "mph": "did you mean km/h or m/s? 1 mph is 1.609 km/h",
    "kn": "did you mean km/h or m/s? 1 knot is 1.852 km/h",
    "knots": "did you mean km/h or m/s? 1 knot is 1.852 km/h",
    "in": "did you mean mm? 1 inch is 25.4 mm",
    "inch": "did you mean mm? 1 inch is 25.4 mm",
    "ft": "did you mean m? 1 foot is 0.3048 m",
    "mg/m3": "did you mean ug/m3? 1 mg/m3 is 1000 ug/m3",
    "g/m3": "did you mean mg/l? 1 g/m3 is 1 mg/l",
    "ml": "did you mean l? 1000 ml are 1 l",
    "uA": "did you mean mA? 1000 uA are 1 mA",
    "kOhm": "did you mean Ohm? 1 kOhm is 1000 Ohm",
    "uSv/h": "SenML has no dose a time: publish the dose in Sv, or counts in 1/min",
    "cpm": "did you mean 1/min?",
}

_MEANT = {
    "°c": "Cel",
    "℃": "Cel",
    "degc": "Cel",
    "deg c": "Cel",
    "celsius": "Cel",
    "percent": "/100",
    "rh": "%RH",
    "humidity": "%RH",
    "battery": "%EL",
    "lux": "lx",
    "liter": "l",
    "litre": "l",
    "ω": "Ohm",
    "sec": "s",
    "second": "s",
    "seconds": "s",
    "minute": "min",
    "minutes": "min",
    "hour": "h",
    "hours": "h",
    "volt": "V",
    "volts": "V",
    "watt": "W",
    "watts": "W",
    "amp": "A",
    "amps": "A",
    "rpm": "1/min",
    "bpm": "beat/min",
    "dba": "dB",
    "db(a)": "dB",
    "kph": "km/h",
    "kmh": "km/h",
    "kmph": "km/h",
    "kelvin": "K",
    "hertz": "Hz",
    "pascal": "Pa",
    "hectopascal": "hPa",
    "meter": "m",
    "metre": "m",
    "centigrade": "Cel",
    "pct": "/100",
    "relative humidity": "%RH",
    "degree": "deg",
    "ohms": "Ohm",
}
"""What people write, in lower case, and the symbol that they mean."""

_PLAIN = str.maketrans(
    {"²": "2", "³": "3", "^": "", "µ": "u", "μ": "u", "º": "°"}
)  # there are two micro signs

_LONGEST = 64

_SHOWN = {
    "Cel": "°C",
    "%RH": "%",
    "%EL": "%",
    "/100": "%",
    "/1000": "‰",
    "/": "",
    "count": "",
    "deg": "°",
    "Ohm": "Ω",
    "ug/m3": "µg/m³",
    "kg/m3": "kg/m³",
    "m2": "m²",
    "m3": "m³",
    "m3/s": "m³/s",
    "m/s2": "m/s²",
    "W/m2": "W/m²",
    "cd/m2": "cd/m²",
}


def unit_fault(text: str) -> str | None:
    """What is wrong with a channel's unit, in one line with a suggestion; None for a good one."""
    if text in UNITS and text not in _AMBIGUOUS:
        return None
    text = text[:_LONGEST]
    shown = text if text and text.isprintable() else repr(text)
    return f"unit {shown}: {_HINTS.get(text) or _suggestion(text)}"


def check_unit(text: str, where: str) -> str:
    """Returns a channel's unit if SenML knows it, primary or secondary.

    `C` and `%` are refused although registered: who writes them means `Cel` and a percentage.

    Raises:
        InvalidError: SenML has no such unit; the text suggests one.
    """
    fault = unit_fault(text)
    if fault is not None:
        raise InvalidError(f"{where}: {fault}")
    return text


def shown_unit(unit: str | None) -> str:
    """A unit as people write it, such as `°C` for `Cel`; for display only. Empty for none."""
    return _SHOWN.get(unit, unit) if unit else ""


@lru_cache(maxsize=1)
def _by_lower() -> dict[str, str]:
    return {symbol.lower(): symbol for symbol in UNITS if symbol not in _AMBIGUOUS}


@lru_cache(maxsize=64)  # one mistake is often made many times
def _suggestion(text: str) -> str:
    import difflib  # noqa: PLC0415  # only whoever made a mistake pays for it

    plain = text.strip().translate(_PLAIN)
    if plain in _HINTS:
        return _HINTS[plain]
    lower = plain.lower()
    by_lower = _by_lower()
    meant = plain if plain in UNITS and plain not in _AMBIGUOUS else _MEANT.get(lower) or by_lower.get(lower)
    if meant is not None:
        return f"did you mean {meant}?"
    letters = set(lower)
    # Whoever shares few letters is not close: this is found out sooner than by comparing.
    alike = [each for each in by_lower if len(letters & set(each)) * 4 >= len(lower)]
    close = [by_lower[near] for near in difflib.get_close_matches(lower, alike, n=3)]
    if close:
        return f"did you mean {' or '.join(close)}?"
    return "SenML has no such unit; use one of RFC 8428 section 12.1 or RFC 8798, such as Cel, %RH, hPa, W"
