import json
import math
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotxmpp.addresses import DeviceId
from iotxmpp.errors import InvalidError
from iotxmpp.readings import ClockQuality, Reading, Value
from iotxmpp.senml import decode, encode, item_id, numbers_of, parse_item_id, readings_of

DEVICE = DeviceId("greenhouse-1")
NOW = 1_763_683_200.123456

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9:./_-]{0,30}", fullmatch=True)
VALUES: st.SearchStrategy[Value] = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"])),
)
READINGS = st.builds(
    Reading,
    channel=NAMES,
    value=VALUES,
    unit=st.none() | st.sampled_from(["Cel", "%RH", "/"]),
    time=st.floats(2**28 + 1, 4e9),
)


def reading(value: object = 21.5, *, channel: str = "temperature", time: float = NOW) -> Reading:
    return Reading(channel=channel, value=cast("Value", value), unit="Cel", time=time)


def pack(*records: dict[str, Any]) -> str:
    return json.dumps(records)


@given(st.lists(READINGS, min_size=1, max_size=20))
def test_what_is_encoded_is_decoded_again(readings: list[Reading]) -> None:
    back = readings_of(decode(encode(readings, device=DEVICE)), device=DEVICE, epoch="7f3a", first_seq=5)
    assert [(r.channel, r.value, r.unit, type(r.value)) for r in back] == [
        (r.channel, r.value, r.unit, type(r.value)) for r in readings
    ]
    assert all(abs(a.time - b.time) < 1e-6 for a, b in zip(back, readings, strict=True))
    assert [(r.epoch, r.seq) for r in back] == [("7f3a", 5 + n) for n in range(len(readings))]


@given(st.text() | st.binary())
def test_junk_never_raises_anything_else(junk: str | bytes) -> None:
    with pytest.raises(InvalidError):
        decode(junk)


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(
                ["bn", "bt", "bu", "bv", "bs", "bver", "n", "u", "v", "vs", "vb", "vd", "s", "t", "x", "y_"]
            ),
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just({"v": 1}),
        ),
        max_size=4,
    )
)
def test_any_pack_gives_records_or_a_clear_error(records: list[dict[str, Any]]) -> None:
    try:
        decoded = decode(json.dumps(records))
    except InvalidError as error:
        assert str(error).startswith("SenML ")  # noqa: PT017  # either outcome is right, this one has a form
    else:
        assert len(decoded) == len(records)
        assert all(math.isfinite(record.time) for record in decoded)


def test_the_pack_is_compact_and_shares_its_base() -> None:
    text = encode(
        [reading(), reading(7, channel="count"), reading(True, channel="door/1", time=NOW + 0.25)],
        device=DEVICE,
    )
    assert text == (
        '[{"bn":"greenhouse-1/","bt":1763683200.123456,"bu":"Cel","n":"temperature","v":21.5},'
        '{"n":"count","v":7},{"n":"door/1","vb":true,"t":0.25}]'
    )


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (reading(math.nan), "channel temperature: nan is not a finite number"),
        (reading(math.inf), "channel temperature: inf is not a finite number"),
        (reading(10**400), "channel temperature: the number is too large"),
        (reading([1]), "list is no reading"),
        (reading("\ud800"), "half of a surrogate pair"),
        (reading(channel="tempé"), "use A-Z, a-z, 0-9"),
        (reading(channel="_x"), "starting with a letter"),
        (reading(channel=""), "starting with a letter"),
        (reading(time=12.0), "no absolute time"),
        (reading(time=math.nan), "no absolute time"),
        (reading(time=1e12), "beyond the year 9999"),
    ],
)
def test_a_reading_that_cannot_travel_is_refused(bad: Reading, words: str) -> None:
    with pytest.raises(InvalidError, match=words):
        encode([reading(), bad], device=DEVICE)


def test_an_empty_pack_is_never_made() -> None:
    with pytest.raises(InvalidError, match="at least one"):
        encode([], device=DEVICE)


def test_integers_beyond_64_bits_travel_as_floats() -> None:
    [record] = decode(encode([reading(2**70)], device=DEVICE))
    assert record.value == float(2**70)
    assert isinstance(record.value, float)


def test_base_fields_carry_forward_and_are_added() -> None:
    records = decode(
        pack(
            {"bn": "urn:dev:a:", "bt": 1.5e9, "bu": "Cel", "bv": 20, "bver": 10, "n": "t", "v": 1.5},
            {"n": "t", "v": 2, "t": -5},
            {"n": "h", "u": "%RH", "bv": 0, "v": 40, "t": 1},
            {"bn": "b/", "n": "s", "vs": "open", "ut": 60},
            {"n": "e", "bs": 100, "s": 5},
            {"n": "d", "vd": "aGk-_w"},
        )
    )
    assert [(r.name, r.value, r.unit, r.time, r.sum) for r in records] == [
        ("urn:dev:a:t", 21.5, "Cel", 1.5e9, None),
        ("urn:dev:a:t", 22, "Cel", 1.5e9 - 5, None),
        ("urn:dev:a:h", 40, "%RH", 1.5e9 + 1, None),
        ("b/s", "open", "Cel", 1.5e9, None),
        ("b/e", None, "Cel", 1.5e9, 105),
        ("b/d", "aGk-_w", "Cel", 1.5e9, 100),
    ]


def test_unknown_labels_are_ignored() -> None:
    [record] = decode(pack({"n": "a", "t": 1e9, "v": 1, "x": {"deep": [1]}, "colon": "a:b"}))
    assert (record.name, record.value) == ("a", 1)


def test_bytes_are_read_as_utf_8() -> None:
    [record] = decode('[{"n":"a","t":1e9,"vs":"grün"}]'.encode())
    assert record.value == "grün"


GOOD: dict[str, Any] = {"n": "a", "t": 1e9, "v": 1}

BAD_PACKS = [
    ("", "SenML pack: Invalid JSON"),
    ("[", "SenML pack: Invalid JSON"),
    ('{"n":"a","t":1e9,"v":1}', "SenML pack: the root must be an array: put the record in"),
    ("21.5", "the root must be an array"),
    ("[]", "SenML pack: empty"),
    ("[5]", "SenML record 0: must be an object"),
    (json.dumps([GOOD, []]), "SenML record 1: must be an object"),
    (pack({"n": "a", "t": 1e9}), "SenML record 0: no value; give one of v, vs, vb, vd"),
    (pack(GOOD, {**GOOD, "vb": True}), "SenML record 1: v and vb: only one value"),
    (pack({**GOOD, "v": "1"}), "SenML record 0: v: must be a finite number"),
    (pack({**GOOD, "v": True}), "SenML record 0: v: must be a finite number"),
    (pack({**GOOD, "v": None}), "SenML record 0: v: must be a finite number"),
    ('[{"n":"a","t":1e9,"v":NaN}]', "SenML record 0: v: must be a finite number"),
    ('[{"n":"a","t":1e9,"v":-Infinity}]', "SenML record 0: v: must be a finite number"),
    ('[{"n":"a","t":1e9,"v":1e999}]', "SenML record 0: v: must be a finite number"),
    ('[{"n":"a","t":NaN,"v":1}]', "SenML record 0: t: must be a finite number"),
    ('[{"n":"a","t":1e9,"v":1,"x":NaN}]', "NaN is not JSON"),
    ('[{"n":"a","t":1e9,"v":1,"x":[Infinity]}]', "Infinity is not JSON"),
    (pack({**GOOD, "v": 1e308, "bv": 1e308}), "SenML record 0: v: the number is too large"),
    (pack({**GOOD, "v": 10**400}), "SenML record 0: v: the number is too large"),
    ('[{"n":"a","t":1e9,"v":1' + "0" * 5000 + "}]", "number out of range"),
    (pack({"n": "a", "t": 1e9, "vb": 1}), "SenML record 0: vb: must be true or false"),
    (pack({"n": "a", "t": 1e9, "vs": 1}), "SenML record 0: vs: must be text"),
    (pack({"n": "a", "t": 1e9, "vd": "no base64!"}), "SenML record 0: vd: must be URL-safe base64"),
    (pack({**GOOD, "u": 1}), "SenML record 0: u: must be text"),
    (pack({**GOOD, "n": "a@b"}), "SenML record 0: n: name 'a@b': use A-Z"),
    (pack({**GOOD, "bn": "/", "n": "a"}), "SenML record 0: n: name '/a': use A-Z"),
    (pack({"t": 1e9, "v": 1}), "SenML record 0: n: name ''"),
    (pack({"n": "a", "v": 1}), "SenML record 0: t: no absolute time"),
    (pack({"n": "a", "v": 1, "t": -5}), "SenML record 0: t: no absolute time"),
    (pack({"n": "a", "v": 1, "t": 2**28 - 1}), "SenML record 0: t: no absolute time"),
    (pack(GOOD, {**GOOD, "t": 1e12}), "SenML record 1: t: time 1e\\+12 is beyond the year 9999"),
    (pack({**GOOD, "bver": 11}), "SenML record 0: bver: version 11 is unknown"),
    (pack({**GOOD, "bver": "10"}), "SenML record 0: bver: must be a whole number"),
    (pack(GOOD, {**GOOD, "bver": 9}), "SenML record 1: bver: all records of a pack must have one version"),
    (pack({**GOOD, "bver": 9}, {**GOOD, "bver": 10}), "SenML record 1: bver: all records"),
    (pack(GOOD, {**GOOD, "encrypted_": 1}), "SenML record 1: label 'encrypted_' must be understood"),
    ('[{"n":"a","t":1e9,"v":1,"v":2}]', "label 'v' twice"),
    ('[{"n":"a","t":1e9,"v" :1,"v":2,"u":":"}]', "label 'v' twice"),
    ('[{"n":"a","t":1e9,"vs":"\\ud800"}]', "Invalid JSON"),
    ("[" * 5000, "Invalid JSON"),
    (b'[{"n":"\xff"}]', "byte 7 is no UTF-8"),
    ('[{"n":"\ud800"}]', "SenML pack: "),
]


@pytest.mark.parametrize(("text", "words"), BAD_PACKS)
def test_a_bad_pack_is_refused_and_named(text: str | bytes, words: str) -> None:
    with pytest.raises(InvalidError, match=words) as caught:
        decode(text)
    assert len(str(caught.value)) < 300


def test_a_pack_may_not_be_too_long() -> None:
    assert len(decode(pack(*[GOOD] * 5), most=5)) == 5
    with pytest.raises(InvalidError, match="6 records, at most 5"):
        decode(pack(*[GOOD] * 6), most=5)


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"n": "kitchen/temperature"}, "record 1: name 'kitchen/temperature' names another device"),
        ({"n": "greenhouse-11/t"}, "names another device: expected greenhouse-1/"),
        ({"n": "greenhouse-1/"}, "record 1: channel: name ''"),
        ({"n": "greenhouse-1//t"}, "record 1: channel: name '/t'"),
        ({"n": "greenhouse-1/t", "v": None, "s": 1}, "record 1: a sum without a value"),
    ],
)
def test_a_record_that_is_no_reading_of_the_device_is_refused(record: dict[str, Any], words: str) -> None:
    merged = {key: value for key, value in {**GOOD, **record}.items() if value is not None}
    records = decode(pack({**GOOD, "n": "greenhouse-1/t"}, merged))
    with pytest.raises(InvalidError, match=words):
        readings_of(records, device=DEVICE, epoch="e", first_seq=1)


@given(st.from_regex(r"[A-Za-z0-9-]{1,32}", fullmatch=True), st.integers(1, 2**63 - 1))
def test_item_ids_go_both_ways(epoch: str, seq: int) -> None:
    assert parse_item_id(item_id(epoch, seq)) == (epoch, seq)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7f3a",
        "7f3a.",
        ".1",
        "7f3a.0",
        "7f3a.01",
        "7f3a.-1",
        "7f3a.1.2",
        "a b.1",
        "é.1",
        "e.\u0661",
        f"e.{2**63}",
        "e.1\n",
        "123456789012345678901234567890123.1",
    ],
)
def test_other_item_ids_are_refused(text: str) -> None:
    with pytest.raises(InvalidError, match="item id"):
        parse_item_id(text)


@pytest.mark.parametrize(("epoch", "seq"), [("", 1), ("a.b", 1), ("e", 0), ("e", -1), ("e", 2**63)])
def test_no_other_item_id_is_made(epoch: str, seq: int) -> None:
    with pytest.raises(InvalidError, match="item id"):
        item_id(epoch, seq)


# The labels of ours: numbers and clocks.


def numbered(*numbers: int, clock: ClockQuality = "s", at: float = 1_790_000_000.0) -> list[Reading]:
    return [
        Reading(channel="t", value=1.5, time=at + index, epoch="e", seq=seq, clock=clock)
        for index, seq in enumerate(numbers)
    ]


def labels(text: str, label: str) -> list[object]:
    return [record.get(label) for record in json.loads(text)]


def test_a_number_is_said_where_it_is_not_the_next() -> None:
    text = encode(numbered(5, 6, 9, 10, 40), device=DEVICE)
    assert labels(text, "sq") == [None, None, 9, None, 40]
    assert labels(text, "cq") == [None] * 5
    records = decode(text)
    assert numbers_of(records, first_seq=5) == [5, 6, 9, 10, 40]
    found = readings_of(records, device=DEVICE, epoch="e", first_seq=5)
    assert found == numbered(5, 6, 9, 10, 40)


@pytest.mark.parametrize("clock", ["s", "u"])
def test_the_clocks_quality_travels_with_the_pack(clock: ClockQuality) -> None:
    text = encode(numbered(1, 2, clock=clock), device=DEVICE)
    assert labels(text, "cq") == [None if clock == "s" else clock, None]
    assert [record.clock for record in decode(text)] == [clock, clock]


def test_relative_times_follow_from_when_the_pack_came() -> None:
    text = encode(numbered(1, 2, clock="r", at=-30.5), device=DEVICE)
    assert [record.time for record in decode(text, received=1_790_000_000.0)] == [
        1_790_000_000.0 - 30.5,
        1_790_000_000.0 - 29.5,
    ]
    with pytest.raises(InvalidError, match="when the pack came is not known"):
        decode(text)


@pytest.mark.parametrize(
    ("readings", "text"),
    [
        (numbered(1) + numbered(2, clock="u"), "several qualities"),
        (numbered(3, 3), "number 3 after 3"),
        (numbered(3, 2), "number 2 after 3"),
        (numbered(1, clock="r"), "relative time"),
        (numbered(1, clock="r", at=1.0), "must be 0 or less"),
        (numbered(1, clock="r", at=-(2.0**28)), "must be 0 or less"),
    ],
)
def test_readings_that_do_not_go_together_make_no_pack(readings: list[Reading], text: str) -> None:
    with pytest.raises(InvalidError, match=text):
        encode(readings, device=DEVICE)


@pytest.mark.parametrize(
    ("records", "text"),
    [
        ('{"n":"g/t","v":1,"bt":1.79e9,"sq":"2"}', "record 0: sq: must be a whole number"),
        ('{"n":"g/t","v":1,"bt":1.79e9,"sq":true}', "record 0: sq: must be a whole number"),
        ('{"n":"g/t","v":1,"bt":1.79e9,"cq":1}', "record 0: cq: must be text"),
        ('{"n":"g/t","v":1,"bt":1.79e9,"cq":"x"}', "record 0: cq: clock quality 'x', expected s, u or r"),
        ('{"n":"g/t","v":1,"bt":1.79e9},{"n":"g/t","v":1,"cq":"u"}', "record 1: cq: belongs into the first"),
        ('{"n":"g/t","v":1,"bt":1.79e9,"cq":"r"}', "record 0: t: relative time"),
        ('{"n":"g/t","v":1,"bt":-5,"cq":"r","t":9}', "record 0: t: relative time"),
        ('{"n":"g/t","v":1,"bt":-5,"cq":"s"}', "no absolute time"),
    ],
)
def test_wrong_labels_of_ours_are_refused(records: str, text: str) -> None:
    with pytest.raises(InvalidError, match=text):
        decode(f"[{records}]", received=1_790_000_000.0)


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((4, None), "record 0: sq: number 4, expected 5, as the item's id says"),
        ((None, 5), "record 1: sq: number 5, expected 6 or more"),
        ((None, 0), "record 1: sq: number 0"),
        ((None, -3), "record 1: sq: number -3"),
        ((None, 2**63), "record 1: sq"),
    ],
)
def test_numbers_must_ascend_from_the_items_first(numbers: tuple[int | None, ...], text: str) -> None:
    parts = [{"n": "g/t", "v": 1, "bt": 1.79e9, **({} if n is None else {"sq": n})} for n in numbers]
    records = decode(json.dumps(parts))
    with pytest.raises(InvalidError, match=text):
        numbers_of(records, first_seq=5)
    with pytest.raises(InvalidError, match=text):
        readings_of(records, device=DEVICE, epoch="e", first_seq=5)
