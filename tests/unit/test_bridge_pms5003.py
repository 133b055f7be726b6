"""The fine dust sensor's frames: published ones, damaged ones, and any bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import device_profiles
from firmware_bridge.pms5003 import BAUD, LENGTH, Pms5003Stream, decode
from iotxmpp.errors import InvalidError

# Frames that owners of such sensors have published with what they mean, or with their sum.
QUIET = bytes.fromhex(
    "42 4D 00 1C 00 02 00 0A 00 0A 00 02 00 0A 00 0A 02 46 00 AF 00 31 00 16 00 00 00 00 97 00 02 AC"
)
SMOKY = bytes.fromhex(
    "42 4D 00 1C 00 29 00 3E 00 46 00 1F 00 2E 00 3C 19 EC 07 BF 01 69 00 36 00 08 00 00 91 00 04 E5"
)
ANSWER = bytes.fromhex("42 4D 00 04 E1 00 01 74")


def test_a_published_frame_says_what_was_published_with_it() -> None:
    air = decode(QUIET)
    assert {name: air.values[name] for name in ("pm1", "pm2.5", "pm10")} == {
        "pm1": 2,
        "pm2.5": 10,
        "pm10": 10,
    }
    per_liter = [10 * air.values[f"particles-{size}"] for size in ("0.3", "0.5", "1", "2.5", "5", "10")]
    assert per_liter == [5820, 1750, 490, 220, 0, 0]
    assert (air.version, air.error) == (0x97, 0)


def test_values_are_those_of_outside_air() -> None:
    values = decode(SMOKY).values  # numbers 1 to 3, for factories, are 41, 62 and 70
    assert [values["pm1"], values["pm2.5"], values["pm10"]] == [31, 46, 60]


@pytest.mark.parametrize("at", range(LENGTH))
def test_every_changed_byte_is_seen(at: int) -> None:
    damaged = bytearray(QUIET)
    damaged[at] ^= 0x10
    with pytest.raises(InvalidError):
        decode(bytes(damaged))


@pytest.mark.parametrize("frame", [b"", QUIET[:-1], QUIET + b"\0", ANSWER])
def test_what_is_no_frame_is_refused(frame: bytes) -> None:
    with pytest.raises(InvalidError, match="expected 32 bytes that start with 42 4d 00 1c"):
        decode(frame)


@pytest.mark.parametrize("size", [1, 7, 31, 32, 33, 200])
def test_a_stream_is_followed_in_pieces_of_any_size(size: int) -> None:
    damaged = QUIET[:9] + b"\x55" + QUIET[10:]
    text = b"B\x42\x4d\x00" + QUIET[5:] + ANSWER + QUIET + damaged + SMOKY + b"BBBM" + QUIET + QUIET[:20]
    stream = Pms5003Stream()
    found = [air for at in range(0, len(text), size) for air in stream.feed(text[at : at + size])]
    assert [air.values["pm10"] for air in found] == [10, 60, 10]
    assert stream.damaged == 1
    assert [air.values["pm10"] for air in stream.feed(QUIET[20:])] == [10]


@given(st.lists(st.one_of(st.binary(max_size=100), st.sampled_from([b"BM", QUIET, SMOKY, ANSWER]))))
def test_any_bytes_are_taken_and_less_than_a_frame_is_kept(pieces: list[bytes]) -> None:
    stream = Pms5003Stream()
    for piece in pieces:
        stream.feed(piece)
        assert len(stream._rest) < LENGTH
    found = stream.feed(bytes(LENGTH) + QUIET)
    assert found[-1].values == decode(QUIET).values


def test_the_profile_has_its_channels_and_its_speed() -> None:
    profile = device_profiles.load("pms5003")
    assert profile.driver.settings == {"baud": BAUD, "protocol": "pms5003"}
    assert profile.channels().keys() <= decode(QUIET).values.keys()
