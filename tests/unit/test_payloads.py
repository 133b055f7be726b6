"""Forms of a pack: small ones as JSON, others compressed, and what is refused of those."""

import base64
import random
import tracemalloc
import zlib
from contextlib import suppress
from xml.etree.ElementTree import Element, fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotxmpp.addresses import DeviceId
from iotxmpp.errors import InvalidError
from iotxmpp.payloads import (
    JSON_TAG,
    MAX_TEXT,
    PACK_FROM,
    PACK_TAG,
    TooLargeError,
    json_element,
    pack_element,
    pack_text,
    wire_size,
)
from iotxmpp.readings import Reading
from iotxmpp.senml import encode
from iotxmpp.xmpp.wiretext import wire_text

LONG = '[{"n":"greenhouse/temperature","u":"Cel","v":21.5},' * 10
TEXTS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), min_size=1
) | st.text('{"nv":1.5}\n\t[]', min_size=1, max_size=1000)


def pack(content: bytes) -> Element:
    """A `<pack/>` of any bytes."""
    return raw(base64.b64encode(content).decode())


def raw(text: str) -> Element:
    element = Element(PACK_TAG)
    element.text = text
    return element


@given(TEXTS, st.integers(1, 40))
def test_any_text_comes_back(text: str, times: int) -> None:
    assert pack_text(pack_element(text * times)) == text * times


def test_a_pack_is_read_with_a_small_window_whatever_its_size() -> None:
    for text in (LONG, LONG * 100):
        content = base64.b64decode(pack_element(text).text or "")
        stream = zlib.decompressobj(wbits=12)  # 4 KiB: more is an error
        assert stream.decompress(content).decode() == text


@given(st.binary() | st.binary().map(zlib.compress))
def test_any_bytes_give_text_or_a_clear_error(content: bytes) -> None:
    try:
        text = pack_text(pack(content))
    except InvalidError as error:
        assert str(error)  # noqa: PT017  # either outcome is right
    else:
        assert zlib.decompress(content).decode() == text


@given(st.text())
def test_any_text_in_a_pack_gives_text_or_a_clear_error(text: str) -> None:
    try:
        found = pack_text(raw(text))
    except InvalidError as error:
        assert str(error).startswith(f"payload {PACK_TAG}")  # noqa: PT017  # either outcome is right
    else:
        assert found == zlib.decompress(base64.b64decode(text)).decode()


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_no_damaged_byte_gives_another_text(place: int, change: int) -> None:
    content = bytearray(zlib.compress(LONG.encode()))
    content[place % len(content)] ^= change
    with suppress(InvalidError):
        assert pack_text(pack(bytes(content))) == LONG  # it says how hard it was compressed


def test_small_packs_stay_readable() -> None:
    assert pack_element("x" * (PACK_FROM - 1)).tag == JSON_TAG
    assert pack_element("x" * PACK_FROM).tag == PACK_TAG
    one = Reading(channel="temperature", value=21.5, unit="Cel", time=1_795_224_000.25)
    assert pack_element(encode([one], device=DeviceId("greenhouse"))).tag == JSON_TAG


def test_a_compressed_pack_is_smaller_by_far() -> None:
    assert wire_size(pack_element(LONG)) < wire_size(json_element(LONG)) / 5


@pytest.mark.parametrize(
    ("element", "words"),
    [
        (raw("no base64!"), "no base64"),
        (raw("eJw"), "no base64"),
        (raw(f" {base64.b64encode(zlib.compress(b'[]')).decode()}"), "no base64"),
        (raw(f"{base64.b64encode(zlib.compress(b'[]')).decode()}\n"), "no base64"),
        (raw("é"), "no base64"),
        (raw(""), "empty"),
        (Element(PACK_TAG), "empty"),
        (pack(b"no zlib"), "no zlib stream"),
        (pack(b""), "empty"),
        (pack(zlib.compress(LONG.encode())[:-1]), "cut off"),
        (pack(zlib.compress(LONG.encode())[:20]), "cut off"),
        (pack(zlib.compress(LONG.encode()) + b"x"), "1 bytes after"),
        (pack(zlib.compress(b"[]") + zlib.compress(b"[]")), "10 bytes after"),
        (pack(zlib.compress(LONG.encode(), wbits=-15)), "no zlib stream"),
        (pack(zlib.compress(LONG.encode(), wbits=31)), "no zlib stream"),
        (pack(zlib.compress(b"")), "is empty"),
        (pack(zlib.compress(b'["\xff"]')), "byte 2 of its JSON is no UTF-8"),
        (pack(zlib.compress(b'["\0"]')), "control characters"),
        (pack(zlib.compress(b'["\x1b[2J"]')), "control characters"),
        (pack(zlib.compress('["\ufffe"]'.encode())), "cannot travel in XML"),
        (fromstring(f'<pack xmlns="urn:iotxmpp:pack:0" level="9">{raw("eA==").text}</pack>'), "'level'"),  # noqa: S314  # our own
        (fromstring('<pack xmlns="urn:iotxmpp:pack:0"><a/></pack>'), "XML elements"),  # noqa: S314  # our own
        (fromstring('<pack xmlns="urn:iotxmpp:pack:1">eA==</pack>'), "unknown; known are"),  # noqa: S314  # our own
    ],
)
def test_a_bad_pack_is_refused_and_named(element: Element, words: str) -> None:
    with pytest.raises(InvalidError, match=words) as caught:
        pack_text(element)
    assert len(str(caught.value)) < 300
    assert not isinstance(caught.value, TooLargeError)


def test_a_preset_dictionary_is_refused() -> None:
    with_dictionary = zlib.compressobj(zdict=b'"temperature"')
    content = with_dictionary.compress(LONG.encode()) + with_dictionary.flush()
    with pytest.raises(InvalidError, match="without a dictionary"):
        pack_text(pack(content))


def test_a_pack_may_hold_just_so_much() -> None:
    largest = "x" * MAX_TEXT
    assert pack_text(pack_element(largest)) == largest
    for element in (pack(zlib.compress(largest.encode() + b"x")), pack(zlib.compress(bytes(10_000_000)))):
        with pytest.raises(TooLargeError, match=str(MAX_TEXT)):
            pack_text(element)
    with pytest.raises(TooLargeError, match="send smaller items"):
        pack_element(largest + "x")
    with pytest.raises(TooLargeError):
        pack_element("ü" * (MAX_TEXT // 2 + 1))


def test_a_bomb_takes_no_memory() -> None:
    bomb = pack(zlib.compress(bytes(100_000_000)))
    tracemalloc.start()
    try:
        with pytest.raises(TooLargeError):
            pack_text(bomb)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * MAX_TEXT


@pytest.mark.parametrize("text", ["\0", "\x1b", "\ufffe", "\ud800"])
def test_no_pack_is_made_of_what_xml_cannot_carry(text: str) -> None:
    with pytest.raises(InvalidError):
        pack_element(LONG + text)


@pytest.mark.parametrize("text", ["x", LONG, "<&>\"'ü€𝄞" * 50])
def test_the_size_on_the_wire_is_known(text: str) -> None:
    for element in (pack_element(text), json_element(text)):
        quotes = sum(map((element.text or "").count, "\"'"))
        # A server writes each as an escape; we do not.
        assert wire_size(element) == len(wire_text(element).encode()) + 5 * quotes


def test_incompressible_text_grows_by_little() -> None:
    noise = base64.b64encode(random.Random(1).randbytes(6000)).decode()  # noqa: S311  # no secret
    assert wire_size(pack_element(noise)) < 1.05 * wire_size(json_element(noise))
