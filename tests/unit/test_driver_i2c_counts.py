"""What a BME280 counts: every count of a measurement is a value, and what was not measured is none."""

import pytest

from iotxmpp.agent.drivers.i2c.bme280 import SKIPPED_16, SKIPPED_20, Calibration, Counts
from iotxmpp.agent.drivers.i2c.bme280_chip import CTRL_HUM, CTRL_MEAS, DATA, Bme280
from iotxmpp.agent.drivers.i2c.fakes import CALIBRATION, FakeBme280, SimulatedBus

AIR = {"temperature": 21.37, "humidity": 48.25, "pressure": 100_412.0}


class Counting(FakeBme280):
    """A chip whose next measurements count what a test says.

    Args:
        said: What is counted in place of what the air would give; None leaves it.
        known: Its calibration.
    """

    def __init__(
        self,
        temperature: int | None = None,
        pressure: int | None = None,
        humidity: int | None = None,
        *,
        number: int = 0x60,
        known: Calibration = CALIBRATION,
    ) -> None:
        self.said = (temperature, pressure, humidity)
        self.measured = False
        super().__init__(lambda: AIR, number=number, known=known)

    def _measure(self, asked: int) -> None:
        self.measured = True
        super()._measure(asked)

    def _count(self, counted: Counts) -> None:
        warm, press, wet = self.said if self.measured else (None, None, None)
        super()._count(
            Counts(
                temperature=counted.temperature if warm is None else warm,
                pressure=counted.pressure if press is None else press,
                humidity=counted.humidity if wet is None else wet,
            )
        )


def started(chip: FakeBme280) -> Bme280:
    sensor = Bme280(SimulatedBus({0x76: chip}), 0x76, sleep=lambda _seconds: None)
    sensor.start()
    return sensor


@pytest.mark.parametrize(
    "chip",
    [
        Counting(temperature=SKIPPED_20),
        Counting(pressure=SKIPPED_20),
        Counting(humidity=SKIPPED_16),
        Counting(temperature=SKIPPED_20, humidity=SKIPPED_16),
        Counting(temperature=SKIPPED_20, pressure=SKIPPED_20),
        Counting(pressure=SKIPPED_20, humidity=SKIPPED_16),
    ],
)
def test_a_count_that_a_reset_leaves_too_is_a_value_where_it_was_measured(chip: Counting) -> None:
    values = started(chip).read()
    assert values.keys() == {"temperature", "pressure", "humidity"}
    assert not [value for value in values.values() if isinstance(value, OSError)]
    if chip.said[0] is not None:
        # 26.461 Cel with this calibration, by the data sheet's arithmetic.
        assert values["temperature"] == pytest.approx(26.461, abs=0.001)


@pytest.mark.parametrize("warm", [SKIPPED_20, None])
def test_a_bmp280_counts_so_too(warm: int | None) -> None:
    values = started(Counting(temperature=warm, pressure=None if warm else SKIPPED_20, number=0x58)).read()
    assert isinstance(values["temperature"], float)
    assert isinstance(values["pressure"], float)
    assert isinstance(values["humidity"], OSError)


@pytest.mark.parametrize("number", [0x60, 0x58])
def test_what_stands_there_after_a_reset_is_no_measurement(number: int) -> None:
    chip = Counting(SKIPPED_20, SKIPPED_20, SKIPPED_16, number=number)
    with pytest.raises(OSError, match="it did not measure; check its power"):
        started(chip).read()


class Forgetful(FakeBme280):
    """A chip that has forgotten by the time of its answer what it was told; its counts look well."""

    def __init__(self, register: int, *, number: int = 0x60) -> None:
        super().__init__(lambda: AIR, number=number)
        self.register = register

    def read(self, count: int) -> bytes:
        if self._pointer + count > DATA:
            self._registers[self.register] = 0
        return super().read(count)


@pytest.mark.parametrize(
    "chip",
    [Forgetful(CTRL_MEAS), Forgetful(CTRL_HUM), Forgetful(CTRL_MEAS, number=0x58)],
    ids=["all", "humidity", "bmp280"],
)
def test_a_chip_that_forgot_what_to_measure_is_told(chip: Forgetful) -> None:
    with pytest.raises(OSError, match="it did not measure; check its power"):
        started(chip).read()


def test_a_bmp280_has_no_register_for_humidity_to_forget() -> None:
    values = started(Forgetful(CTRL_HUM, number=0x58)).read()
    assert values["temperature"] == pytest.approx(21.37, abs=0.005)
