"""The limits on what a server's stream may hold."""

import itertools
from collections.abc import Iterable
from contextlib import suppress
from typing import Any
from xml.etree.ElementTree import XMLPullParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotxmpp.xmpp import guard
from iotxmpp.xmpp.guard import StreamGuard, StreamRefusedError

HEADER = (
    b"<?xml version='1.0' encoding='UTF-8'?>\n"
    b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='1'>"
)
STANZAS = (
    b"<message><body>caf\xc3\xa9 &lt;!DOCTYPE&gt;</body></message> <presence/><iq><q a='1'>x<y/></q></iq>"
)
GOOD = HEADER + STANZAS + b"</stream:stream>"


def new_guard(*, max_bytes: int = 10_000, max_depth: int = 8) -> StreamGuard:
    parser: XMLPullParser[Any] = XMLPullParser(("start", "end"))
    return StreamGuard(parser, max_bytes=max_bytes, max_depth=max_depth)


def events(chunks: Iterable[bytes], guarded: StreamGuard | None = None) -> list[tuple[str, str]]:
    guarded = guarded or new_guard()
    seen = []
    for chunk in chunks:
        guarded.feed(chunk)
        seen += [(event, element.tag) for event, element in guarded.read_events()]
    return seen


def bytewise(text: bytes) -> list[bytes]:
    return [text[at : at + 1] for at in range(len(text))]


WHOLE = events([GOOD])


def test_a_good_stream_passes_with_all_events_of_it_and_its_stanzas() -> None:
    plain: XMLPullParser[Any] = XMLPullParser(("start", "end"))
    plain.feed(GOOD)
    read: Iterable[Any] = plain.read_events()
    inner = ("{jabber:client}body", "{jabber:client}q", "{jabber:client}y")
    assert [(event, element.tag) for event, element in read if element.tag not in inner] == WHOLE
    assert len(WHOLE) == 8


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"\xef\xbb\xbf",
        b"<?xml version='1.0'?>",
        b"\xef\xbb\xbf<?xml version='1.0' encoding='utf-8'?>\r\n ",
        b"<?xml version='1.0' encoding=\"UTF-8\" standalone='yes'?>",
        b"  ",
    ],
)
def test_a_good_stream_passes_byte_by_byte(start: bytes) -> None:
    stream = start + GOOD[GOOD.index(b"<stream") :]
    assert events(bytewise(stream)) == WHOLE


@given(st.lists(st.integers(0, len(GOOD)), max_size=20))
def test_how_a_stream_is_cut_up_makes_no_difference(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(GOOD)]
    assert events(GOOD[low:high] for low, high in itertools.pairwise(edges)) == WHOLE


BAD_STARTS = {
    "DOCTYPE": b"<!DOCTYPE s>",
    "DOCTYPE with entities": b"<!DOCTYPE s [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]>",
    "lower case": b"<!doctype s>",
    "comment": b"<!-- hello -->",
    "CDATA": b"<![CDATA[x]]>",
    "processing instruction": b"<?php x?>",
    "style sheet": b"<?xml-stylesheet href='x'?>",
    "text": b"hello",
    "end tag": b"</stream>",
    "NUL": b"\0",
}
BEFORE = {
    "nothing": b"",
    "BOM": b"\xef\xbb\xbf",
    "declaration": b"<?xml version='1.0'?>",
    "BOM and declaration": b"\xef\xbb\xbf<?xml version='1.0'?>\n",
    "space": b" \n",
}


@pytest.mark.parametrize("split", [False, True], ids=["at once", "byte by byte"])
@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
@pytest.mark.parametrize("bad", BAD_STARTS.values(), ids=BAD_STARTS)
def test_nothing_but_a_declaration_comes_before_the_root(bad: bytes, before: bytes, split: bool) -> None:
    stream = before + bad + HEADER.partition(b"\n")[2]
    with pytest.raises(StreamRefusedError):
        events(bytewise(stream) if split else [stream])


@pytest.mark.parametrize(
    "encoding", [b"UTF-16", b"ISO-8859-1", b"utf-7", b"", b"utf8", b"cp1252", b"rot13", b"utf-8 encoding='x"]
)
@pytest.mark.parametrize("split", [False, True], ids=["at once", "byte by byte"])
def test_a_stream_declares_utf_8_or_nothing(encoding: bytes, split: bool) -> None:
    stream = b"<?xml version='1.0' encoding='" + encoding + b"'?>" + GOOD[GOOD.index(b"<stream") :]
    with pytest.raises(StreamRefusedError):
        events(bytewise(stream) if split else [stream])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32"])
def test_a_stream_is_utf_8(encoding: str) -> None:
    with pytest.raises(StreamRefusedError):
        events([GOOD.decode().encode(encoding)])


def test_a_declaration_ends_some_time() -> None:
    with pytest.raises(StreamRefusedError):
        events(bytewise(b"<?xml " + b" " * 2_000))


@pytest.mark.parametrize(
    "broken",
    [b"<message></oops>", b"<a>&undeclared;</a>", b"<!DOCTYPE s>", b"<a b=1/>", b"\xff", b"<a>\0</a>"],
)
def test_what_is_no_xml_is_refused(broken: bytes) -> None:
    with pytest.raises(StreamRefusedError):
        events([HEADER, broken])


@pytest.mark.parametrize(
    ("deep", "tag"), [(7, "{jabber:client}a"), (8, guard.TOO_DEEP), (500, guard.TOO_DEEP)]
)
def test_a_stanza_that_is_nested_deeper_than_the_limit_is_emptied(deep: int, tag: str) -> None:
    guarded = new_guard(max_depth=8)
    guarded.feed(HEADER + b"<a from='a@b'>" + b"<a>" * (deep - 1) + b"</a>" * deep + b"<b><c/></b>")
    ended = [element for event, element in guarded.read_events() if event == "end"]
    assert (ended[0].get("from"), [child.tag for child in ended[0]]) == ("a@b", [tag])
    assert [child.tag for child in ended[-1]] == ["{jabber:client}c"]


def test_a_stream_that_is_nested_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "DEEPEST_PASSED_ON", 8)
    events([HEADER, b"<a>" * 7])
    with pytest.raises(StreamRefusedError, match="nested more than 8 deep"):
        events([HEADER, b"<a>" * 8])


def test_a_stanza_has_its_limit_of_bytes() -> None:
    events([HEADER, b"<m>", b"x" * 800, b"</m>"], new_guard(max_bytes=1000))
    with pytest.raises(StreamRefusedError, match="more than 1000 bytes"):
        events([HEADER, b"<m>", *([b"x" * 100] * 10)], new_guard(max_bytes=1000))


@pytest.mark.parametrize("open_end", [b"<m a='", b"<m", b"<!--", b"<m><![CDATA["])
def test_what_never_ends_meets_the_limit_of_bytes(open_end: bytes) -> None:
    with pytest.raises(StreamRefusedError, match="more than 1000 bytes"):
        events([HEADER, open_end, *([b"x" * 100] * 11)], new_guard(max_bytes=1000))


def test_a_stanza_has_its_limit_of_elements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MAX_ELEMENTS", 10)
    events([HEADER, b"<m>" + b"<a/>" * 8 + b"</m>", b"<m>" + b"<a/>" * 9 + b"</m>"])
    with pytest.raises(StreamRefusedError, match="more than 10 elements"):
        events([HEADER, b"<m/><m>" + b"<a/>" * 10])


def test_many_small_stanzas_pass() -> None:
    stanza = b"<m>" + b"x" * 400 + b"</m>"
    assert len(events([HEADER, *([stanza * 2] * 500)], new_guard(max_bytes=1000))) == 2001


@given(
    st.binary(max_size=60), st.sampled_from([b"", HEADER, HEADER + b"<m>", b"<?xml version='1.0'?>", b"<"])
)
def test_no_bytes_raise_anything_else(noise: bytes, before: bytes) -> None:
    with suppress(StreamRefusedError):
        events([before, *bytewise(noise)])
