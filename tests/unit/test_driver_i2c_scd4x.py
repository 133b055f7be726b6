"""The SCD4x's words and commands, on a simulated sensor with a clock of its own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotxmpp.agent.drivers.i2c.fakes import FakeScd4x, SimulatedBus
from iotxmpp.agent.drivers.i2c.scd4x import (
    LONGEST_WAIT,
    MEASUREMENT,
    START,
    DamagedError,
    Scd4x,
    checksum,
    measurement,
    with_checksum,
    words,
)

ADDRESS = 0x62
# The example of read_measurement in the data sheet.
EXAMPLE = bytes.fromhex("01f4336667a25eb93c")
AIR = {"co2": 612.0, "temperature": 21.5, "humidity": 44.0}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Damaging(SimulatedBus):
    """A bus on which a bit of some answers turns."""

    flaws = 0

    def read(self, address: int, count: int) -> bytes:
        data = super().read(address, count)
        if self.flaws and count == 9:
            self.flaws -= 1
            return bytes([data[0] ^ 1]) + data[1:]
        return data


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def bus(clock: Clock) -> Damaging:
    return Damaging({ADDRESS: FakeScd4x(lambda: AIR, clock=clock)})


@pytest.fixture
def sensor(bus: Damaging, clock: Clock) -> Scd4x:
    return Scd4x(bus, ADDRESS, sleep=clock.sleep, clock=clock)


def test_the_published_checksum_and_measurement() -> None:
    assert checksum(bytes.fromhex("beef")) == 0x92
    assert words(EXAMPLE) == [0x01F4, 0x6667, 0x5EB9]
    values = measurement(words(EXAMPLE))
    assert {name: round(value, 1) for name, value in values.items()} == {
        "co2": 500.0,
        "temperature": 25.0,
        "humidity": 37.0,
    }


@given(st.lists(st.integers(0, 0xFFFF), max_size=4), st.data())
def test_words_go_round_and_one_wrong_bit_is_found(numbers: list[int], data: st.DataObject) -> None:
    sent = b"".join(map(with_checksum, numbers))
    assert words(sent) == numbers
    if sent:
        bit = data.draw(st.integers(0, 8 * len(sent) - 1))
        hurt = bytearray(sent)
        hurt[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DamagedError, match="its checksum is wrong"):
            words(bytes(hurt))


@given(st.binary(max_size=12))
def test_no_answer_raises_another_error(data: bytes) -> None:
    try:
        assert all(0 <= word <= 0xFFFF for word in words(data))
    except DamagedError:
        assert (
            b"".join(with_checksum(int.from_bytes(data[n : n + 2], "big")) for n in range(0, 12, 3)) != data
        )


def test_there_is_no_value_before_the_first_measurement(sensor: Scd4x, clock: Clock) -> None:
    sensor.start()
    assert sensor.read() == {}
    clock.now += 4.9
    assert sensor.read() == {}
    clock.now += 0.1
    values = sensor.read()
    assert {name: round(float(str(value)), 1) for name, value in values.items()} == AIR
    # Asked again before the next one is ready, it gives the last.
    assert sensor.read() == values


def test_one_that_measures_already_is_started_anew(bus: Damaging, sensor: Scd4x) -> None:
    bus.write(ADDRESS, START.to_bytes(2, "big"))
    with pytest.raises(OSError, match="Remote I/O"):
        bus.write(ADDRESS, START.to_bytes(2, "big"))
    sensor.start()
    assert sensor.read() == {}
    sensor.reset()
    sensor.stop()
    with pytest.raises(OSError, match="Remote I/O"):
        bus.write(ADDRESS, MEASUREMENT.to_bytes(2, "big"))


def test_damaged_answers_are_refused_and_counted(bus: Damaging, sensor: Scd4x, clock: Clock) -> None:
    sensor.start()
    clock.now += 5
    bus.flaws = 1
    assert sensor.read() == {}
    assert sensor.damaged == 1
    clock.now += 5
    good = sensor.read()
    assert good
    bus.flaws = 99
    for _ in range(5):
        clock.now += 5
        assert sensor.read() == good
    clock.now += 5
    with pytest.raises(OSError, match=r"no good measurement for 30 s, 7 damaged answers so far; check wires"):
        sensor.read()
    assert sensor.damaged == 7


def test_a_sensor_that_stops_measuring_is_an_error(bus: Damaging, sensor: Scd4x, clock: Clock) -> None:
    sensor.start()
    clock.now += 5
    assert sensor.read()
    bus.write(ADDRESS, (0x3F86).to_bytes(2, "big"))
    clock.now += LONGEST_WAIT + 1
    with pytest.raises(OSError, match="no good measurement"):
        sensor.read()


def test_a_sensor_without_carbon_dioxide_yet_gives_the_rest() -> None:
    assert measurement([0, 0x6667, 0x5EB9]).keys() == {"temperature", "humidity"}
