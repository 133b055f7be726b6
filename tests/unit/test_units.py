import math

import pytest

from iotxmpp.errors import InvalidError
from iotxmpp.units import UNITS, check_unit, shown_unit, unit_fault


@pytest.mark.parametrize(
    "unit", ["Cel", "%RH", "V", "hPa", "/", "/100", "kWh", "%EL", "1/s", "ug/m3", "NTU", "mg/l"]
)
def test_registered_units_pass(unit: str) -> None:
    assert check_unit(unit, "temperature") == unit


@pytest.mark.parametrize(
    ("unit", "hint"),
    [
        ("C", "did you mean Cel?"),
        ("°C", "did you mean Cel?"),
        ("℃", "did you mean Cel?"),
        ("degC", "did you mean Cel?"),
        ("Celsius", "did you mean Cel?"),
        ("cel", "did you mean Cel?"),
        ("°F", "no degrees Fahrenheit: convert the value and use Cel"),
        ("%", "did you mean %RH (humidity) or /100 (percent)?"),
        ("percent", "did you mean /100?"),
        ("RH", "did you mean %RH?"),
        ("%rh", "did you mean %RH?"),
        ("v", "did you mean V?"),
        ("hpa", "did you mean hPa?"),
        ("mbar", "did you mean hPa? 1 mbar is 1 hPa"),
        ("kPa", "1 kPa is 10 hPa"),
        ("µg/m³", "did you mean ug/m3?"),
        ("μg/m³", "did you mean ug/m3?"),
        ("m²", "did you mean m2?"),
        ("Ω", "did you mean Ohm?"),
        ("lux", "did you mean lx?"),
        ("kwh", "did you mean kWh?"),
        ("Volt", "did you mean V?"),
        ("rpm", "did you mean 1/min?"),
        ("kWhr", "kWh"),
        ("ºC", "did you mean Cel?"),
        ("kmh", "did you mean km/h?"),
        ("km / h", "km/h"),
        ("m^3", "did you mean m3?"),
        ("ug/m^3", "did you mean ug/m3?"),
        ("mg/m³", "1 mg/m3 is 1000 ug/m3"),
        ("psi", "1 psi is 68.95 hPa"),
        ("knots", "1 knot is 1.852 km/h"),
        ("Kelvin", "did you mean K?"),
        ("C" * 65, "SenML has no such unit"),
        ("", "unit '': leave the unit out"),
        (" Cel", "did you mean Cel?"),
        ("\x00", "unit '\\x00': SenML has no such unit"),
        ("furlong-per-fortnight", "SenML has no such unit"),
    ],
)
def test_a_wrong_unit_gets_a_suggestion(unit: str, hint: str) -> None:
    with pytest.raises(InvalidError) as caught:
        check_unit(unit, "reading temperature")
    assert str(caught.value).startswith("reading temperature: unit ")
    assert hint in str(caught.value)


def test_every_suggestion_is_itself_a_good_unit() -> None:
    for wrong in ("c", "volts", "sec", "hours", "bpm", "dBA", "litre", "m/s²", "PA", "KW"):
        fault = unit_fault(wrong)
        assert fault is not None
        suggested = fault.partition("did you mean ")[2].split("?")[0].split(" or ")
        assert suggested
        assert all(unit_fault(unit) is None for unit in suggested), fault


def test_the_registry_is_whole_and_consistent() -> None:
    primary = [unit for unit in UNITS.values() if unit.primary == unit.symbol]
    assert len(primary) == 58 + 8 + 1  # RFC 8428, RFC 8798, NTU
    assert len(UNITS) - len(primary) == 33 + 6  # RFC 8798, and six registered later
    assert all(UNITS[unit.primary].primary == unit.primary for unit in UNITS.values())
    assert all((unit.scale, unit.offset) == (1, 0) for unit in primary)


@pytest.mark.parametrize(
    ("symbol", "value", "expected"),
    [("ms", 100, 0.1), ("dBm", 10, -20), ("hPa", 1013.25, 101325), ("km/h", 36, 10), ("kWh", 1, 3.6e6)],
)
def test_a_secondary_unit_converts_to_its_primary(symbol: str, value: float, expected: float) -> None:
    unit = UNITS[symbol]
    assert math.isclose(value * unit.scale + unit.offset, expected)


def test_units_as_people_write_them() -> None:
    assert [shown_unit(unit) for unit in ("Cel", "%RH", "/100", "W", "count", None)] == [
        "°C",
        "%",
        "%",
        "W",
        "",
        "",
    ]
