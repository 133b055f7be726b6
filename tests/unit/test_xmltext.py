"""Text of others, as it is shown."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotxmpp.xmltext import printable

STEERING = {
    *map(chr, range(0x20)),
    "\x7f",
    *map(chr, range(0x80, 0xA0)),
    "\u200e",
    "\u200f",
    "\u2028",
    "\u2029",
    *map(chr, range(0x202A, 0x202F)),
    *map(chr, range(0x2066, 0x206A)),
    *map(chr, range(0xD800, 0xD802)),
}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("x\x1b]0;owned\x07", r"x\x1b]0;owned\x07"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x9b31m\x7f\x85", r"\x9b31m\x7f\x85"),
        ("\u202egpj.exe\u2066\u200f\u2028", r"\u202egpj.exe\u2066\u200f\u2028"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_what_steers_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize("text", ["", "größe 21.5 °C", "20\u202f%", "क\u200dष", "👩\u200d🔧", "水", "\\n"])
def test_what_people_write_stays(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize("character", sorted(STEERING), ids=lambda character: f"U+{ord(character):04X}")
def test_nothing_that_steers_stays(character: str) -> None:
    assert printable(f"a{character}b").isprintable()


@given(st.text(st.characters(exclude_categories=())))
def test_nothing_is_left_that_is_a_control_or_ends_a_line(text: str) -> None:
    shown = printable(text)
    assert len(shown.splitlines()) <= 1
    assert not {unicodedata.category(each) for each in shown} & {"Cc", "Cs", "Zl", "Zp"}
    assert not STEERING & set(shown)
    shown.encode()


def test_what_is_kept_stays_and_only_that() -> None:
    assert printable("a\n\tb\x1b", keep="\n\t") == "a\n\tb\\x1b"


def test_another_escape() -> None:
    assert printable("a\x9b", escape=lambda character: f"<{ord(character)}>") == "a<155>"
