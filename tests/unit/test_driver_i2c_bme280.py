"""The BME280's arithmetic on published examples, and against the data sheet's integer form."""

import struct

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from iotxmpp.agent.drivers.i2c.bme280 import (
    Calibration,
    Counts,
    calibration,
    calibration_bytes,
    counts,
    humidity,
    pressure,
    t_fine,
    temperature,
)

# The worked example of the BMP280's data sheet, section 3.12.
BOSCH = Calibration(
    t=(27504, 26435, -1000), p=(36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000), h=None
)
# A chip of which the tests of the Rust library bme280-rs tell: registers, counts and values.
REAL = Calibration(
    t=(0x6FB1, 0x6A2E, 0x32),
    p=(0x8FE2, -10486, 0x0BD0, 0x1F75, -59, -7, 0x26AC, -10230, 0x10BD),
    h=(0x4B, 0x0177, 0, 0x0120, 0x32, 0x1E),
)
REAL_BYTES = bytes.fromhex("b16f2e6a3200e28f0ad7d00b751fc5fff9ffac260ad8bd10004b77010012" + "20031e")


def test_the_data_sheets_example_of_temperature_and_pressure() -> None:
    fine = t_fine(519_888, BOSCH)
    assert int(fine) == 128_422
    assert round(temperature(fine), 2) == 25.08
    pascal = pressure(415_148, fine, BOSCH)
    assert pascal is not None
    assert round(pascal, 2) == 100_653.27
    assert pascal == pytest.approx(25_767_236 / 256, abs=0.5)
    assert humidity(30_000, fine, BOSCH) is None


def test_a_real_chips_registers_and_values() -> None:
    assert calibration(REAL_BYTES[:26], REAL_BYTES[26:]) == REAL
    assert calibration_bytes(REAL) == (REAL_BYTES[:26], REAL_BYTES[26:])
    fine = t_fine(0x84510, REAL)
    assert fine == pytest.approx(0x22391, abs=2)
    assert pressure(0x4F570, fine, REAL) == pytest.approx(0x018B663F / 256, abs=0.5)
    assert humidity(0x5EB4, fine, REAL) == pytest.approx(0x8399 / 1024, abs=0.01)


@given(st.binary(min_size=26, max_size=26), st.binary(min_size=7, max_size=7))
def test_calibrations_go_round(first: bytes, second: bytes) -> None:
    known = calibration(first, second)
    again = calibration(*calibration_bytes(known))
    assert again == known
    assert -2048 <= known.h[3] <= 2047 if known.h else False


@given(*(st.integers(0, (1 << bits) - 1) for bits in (20, 20, 16)))
def test_counts_are_taken_from_their_bits(press: int, warm: int, wet: int) -> None:
    data = struct.pack(">Q", press << 44 | warm << 20 | wet)
    assert counts(data) == Counts(pressure=press, temperature=warm, humidity=wet)


def near(number: int, by: int) -> st.SearchStrategy[int]:
    return st.integers(number - by, number + by)


# As the chips of several makers' lots have them.
CALIBRATIONS = st.builds(
    Calibration,
    t=st.tuples(near(27_500, 900), near(26_400, 500), st.integers(-1000, 50)),
    p=st.tuples(
        near(37_000, 1200),
        near(-10_600, 200),
        st.just(3024),
        near(5000, 3000),
        near(0, 200),
        st.just(-7),
        st.sampled_from([9900, 12_300, 15_500]),
        st.sampled_from([-10_230, -14_600]),
        st.sampled_from([4285, 6000]),
    ),
    h=st.tuples(st.just(75), near(365, 15), st.just(0), near(310, 30), near(50, 10), st.just(30)),
)


@given(
    CALIBRATIONS, st.integers(400_000, 620_000), st.integers(250_000, 500_000), st.integers(15_000, 45_000)
)
def test_both_forms_of_the_data_sheet_agree(known: Calibration, warm: int, press: int, wet: int) -> None:
    fine = t_fine(warm, known)
    whole = integer_t_fine(warm, known)
    # The integer forms cut off; the values are believable ones.
    assert fine == pytest.approx(whole, abs=16)
    assume(-40 <= temperature(fine) <= 85)
    pascal, percent = pressure(press, whole, known), humidity(wet, whole, known)
    assert pascal is not None
    assert percent is not None
    assert pascal == pytest.approx(integer_pressure(press, whole, known) / 256, abs=1)
    assert percent == pytest.approx(integer_humidity(wet, whole, known) / 1024, abs=0.1)
    assert 0 <= percent <= 100


def test_a_calibration_of_zeros_divides_by_nothing() -> None:
    empty = Calibration(t=(0, 0, 0), p=(0,) * 9, h=(0,) * 6)
    assert pressure(1, t_fine(1, empty), empty) is None
    assert humidity(1, t_fine(1, empty), empty) == 0


def integer_t_fine(count: int, known: Calibration) -> int:
    t1, t2, t3 = known.t
    first = (((count >> 3) - (t1 << 1)) * t2) >> 11
    return first + ((((((count >> 4) - t1) * ((count >> 4) - t1)) >> 12) * t3) >> 14)


def integer_pressure(count: int, fine: int, known: Calibration) -> int:
    p1, p2, p3, p4, p5, p6, p7, p8, p9 = known.p
    one = fine - 128_000
    two = one * one * p6 + ((one * p5) << 17) + (p4 << 35)
    one = ((one * one * p3) >> 8) + ((one * p2) << 12)
    one = (((1 << 47) + one) * p1) >> 33
    p = (((1_048_576 - count) << 31) - two) * 3125 // one
    return ((p + ((p9 * (p >> 13) * (p >> 13)) >> 25) + ((p8 * p) >> 19)) >> 8) + (p7 << 4)


def integer_humidity(count: int, fine: int, known: Calibration) -> int:
    assert known.h is not None
    h1, h2, h3, h4, h5, h6 = known.h
    warm = fine - 76_800
    wet = ((count << 14) - (h4 << 20) - h5 * warm + 16_384) >> 15
    wet *= ((((((warm * h6) >> 10) * (((warm * h3) >> 11) + 32_768)) >> 10) + 2_097_152) * h2 + 8192) >> 14
    wet -= ((((wet >> 15) * (wet >> 15)) >> 7) * h1) >> 4
    return min(max(wet, 0), 419_430_400) >> 12
