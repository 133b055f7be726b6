"""Of all speeds, the probe tells what came at the one whose bytes are text, not a letter among noise."""

import random

import pytest

from firmware_bridge.hearsay import Hearsay
from firmware_bridge.probing import BAUDS, Probe
from tests.unit.uart_house import resampled

SENT = [
    (115_200, 117_647.0),  # an Uno's 115,200
    (115_200, 114_624.0),
    (115_200, 115_546.0),
    (9600, 9615.0),
    (9600, 9571.0),
    (57_600, 58_824.0),
    (38_400, 38_462.0),
    (19_200, 19_231.0),
]
"""The speed that a sketch names, and what its crystal makes of it."""

PRINTED = ["temperature={:.2f} humidity={:.1f} ", "Temp: {:.2f} C Hum: {:.1f} | ", "{:.2f},{:.1f};"]
"""What a sketch prints that has `print` where `println` should be."""


def heard_at_all(baud: int, sent: float, form: str) -> Probe:
    """What a probe has heard at every speed of a sketch that prints 20 times in a second."""
    noise = random.Random(1)  # noqa: S311  # the same readings each time
    probe = Probe("tty0", tell=lambda _text: None)
    for number, tried in enumerate(BAUDS):
        chunks = [
            (turn * 0.05 + noise.random() / 1000, _reading(form, noise))
            for turn in range(30 if number else 70)
        ]
        heard = probe.heard[tried] = Hearsay()
        heard.open()
        right = b"".join(data for _, data in chunks)
        heard.take(right if tried == baud else resampled(chunks, sent, tried))
    return probe


def _reading(form: str, noise: random.Random) -> bytes:
    return form.format(20 + noise.random() * 5, 35 + noise.random() * 10).encode()


def test_at_the_speed_of_the_sender_all_is_read() -> None:
    text = bytes(range(256))
    assert resampled([(0.0, text), (0.5, text)], 9615.0, 9600.0) == text * 2
    assert resampled([(0.0, b"U" * 4)], 9600.0, 4800.0) != b"U" * 4


@pytest.mark.parametrize(("baud", "sent"), SENT)
@pytest.mark.parametrize("form", PRINTED)
def test_parts_of_lines_at_the_right_speed_are_told_and_not_noise(baud: int, sent: float, form: str) -> None:
    told = heard_at_all(baud, sent, form).nothing()
    assert f"at {baud} baud they begin '{form.partition('{')[0]}2" in told


@pytest.mark.parametrize(("baud", "sent"), SENT)
@pytest.mark.parametrize(
    "form", ["Temp: {:.2f} C Hum: {:.1f}\r\n", "T: {:.2f} °C {:.1f} °F\r\n", "温度:{:.2f} 湿度:{:.1f}\r\n"]
)
def test_lines_at_the_right_speed_are_told_with_why(baud: int, sent: float, form: str) -> None:
    told = heard_at_all(baud, sent, form).nothing()
    assert f"The newest line of text at {baud} baud: line '{form.partition('{')[0]}2" in told


def test_a_last_opening_in_which_nothing_came_takes_nothing_away() -> None:
    """As where the sketch, or this machine, was too slow for it."""
    probe = heard_at_all(9600, 9615.0, "Temp: {:.2f} C\r\n")
    probe.heard[9600].open()
    assert "The newest line of text at 9600 baud: line 'Temp: 2" in probe.nothing()


def test_a_letter_in_noise_is_no_line_of_text() -> None:
    """All that was tried is a wrong speed, where bytes of noise stand around a letter and a line end."""
    probe = Probe("tty0", bauds=(57_600,), tell=lambda _text: None)
    heard = probe.heard[57_600] = Hearsay()
    heard.take(
        heard_at_all(115_200, 117_647.0, PRINTED[0]).heard[57_600].sample + b"\nN\n" + b"\x9f\xe6" * 90
    )
    assert heard.why
    assert "at 57600 baud they begin '" in probe.nothing()


def test_a_line_with_tabs_in_it_is_told_with_why() -> None:
    """As the Arduino IDE's plotter takes them."""
    heard = Hearsay()
    heard.take(b"21.5\t40\r\n21.5\t41\r\n")
    assert heard.why.startswith(r"line '21.5\t41'")
    assert heard.damaged == 0
