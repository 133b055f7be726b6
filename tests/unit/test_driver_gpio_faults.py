"""Pins that the gpio driver cannot have, and libraries that fail or are not there."""

import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from gpiozero import Device  # type: ignore[import-untyped]  # it has no types
from gpiozero.pins.mock import MockFactory  # type: ignore[import-untyped]  # likewise

from iotxmpp.agent.drivers.gpio.library import advised
from iotxmpp.errors import ConfigError
from tests.unit.pins_house import HEAD, OUT, RELAYS, gpio, mock_pins, reading


@pytest.fixture(autouse=True)
def factory(monkeypatch: pytest.MonkeyPatch) -> Iterator[MockFactory]:
    with mock_pins(monkeypatch) as pins:
        yield pins


def inside(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.mark.parametrize("simulated", [False, True])
async def test_a_pin_that_the_board_does_not_have_is_told(
    simulated: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for device in ("LED", "Button"):
        with pytest.raises(ConfigError, match=r"readings\.x\.source: .*use the processor's numbers \(BCM\)"):
            async with gpio(reading(f'{{device="{device}", pin=45}}'), simulated=simulated):
                pass
    assert inside(tmp_path) == []


async def test_a_pin_that_another_part_of_the_program_has_is_told(factory: MockFactory) -> None:
    async with gpio(reading(OUT)):
        with pytest.raises(ConfigError, match="another part of this program has the pin"):
            async with gpio(HEAD + RELAYS.replace("5, 6", "6, 5")):
                pass
    async with gpio(HEAD + RELAYS):  # what was wired before the fault was let go
        pass


async def test_dimming_where_pins_cannot_is_told(
    factory: MockFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Device, "pin_factory", MockFactory())
    with pytest.raises(ConfigError, match="these pins cannot dim"):
        async with gpio(reading('{device="PWMLED", pin=5}')):
            pass


async def test_a_machine_without_pins_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Device, "pin_factory", None)
    monkeypatch.delenv("GPIOZERO_PIN_FACTORY", raising=False)

    def none() -> None:
        warnings.warn("Falling back from lgpio: No module named 'lgpio'", UserWarning, stacklevel=1)
        raise __import__("gpiozero").BadPinFactory("Unable to load any default pin factory!")

    monkeypatch.setattr(Device, "_default_pin_factory", staticmethod(none))
    with pytest.raises(
        ConfigError, match=r"No module named 'lgpio'.*python3-lgpio.*simulated = true"
    ) as caught:
        async with gpio(reading(OUT)):
            pass
    assert "GPIOZERO_PIN_FACTORY=mock" in str(caught.value)


async def test_a_missing_gpiozero_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gpiozero", None)
    with pytest.raises(ConfigError, match=r"pip install 'iotxmpp\[pi\]'"):
        async with gpio(reading(OUT)):
            pass


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (RuntimeError("GPIO busy"), OSError, "another program has the pin"),
        (RuntimeError("can not open gpiochip"), PermissionError, "usermod -aG gpio"),
        (PermissionError(13, "/dev/gpiochip0"), PermissionError, "usermod -aG gpio"),
        (OSError(5, "bus"), OSError, "x: .*bus"),
        (RuntimeError("odd"), OSError, "x: RuntimeError: odd"),
    ],
)
def test_faults_of_pin_libraries_are_told_with_what_to_do(
    error: Exception, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words), advised("x"):
        raise error


def test_gpiozero_is_not_brought_in_before_it_is_needed() -> None:
    script = (
        "import sys\nfrom iotxmpp.agent.drivers import create_driver\n"
        "from iotxmpp.profiles import parse_profile\n"
        f"create_driver(parse_profile({(HEAD + RELAYS)!r}, 'x'), {{'simulated': True}})\n"
        "assert 'gpiozero' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
