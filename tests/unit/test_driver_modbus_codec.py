"""Registers to values and back, which registers are read together, and what counts as an answer."""

import math
import struct
from itertools import product
from typing import get_args

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from iotxmpp.agent.drivers.modbus.answers import find_rtu, find_tcp
from iotxmpp.agent.drivers.modbus.bindings import BITS, Binding, ModbusSource
from iotxmpp.agent.drivers.modbus.blocks import MOST_REGISTERS, WIDEST_GAP, blocks
from iotxmpp.agent.drivers.modbus.codec import Datatype, Order, decode, encode, size
from iotxmpp.kinds import ReadingKind

ORDERS: list[tuple[Order, Order]] = list(product(get_args(Order), repeat=2))
TYPES: tuple[Datatype, ...] = get_args(Datatype)
REGISTER = st.integers(0, 0xFFFF)


def values(datatype: Datatype) -> st.SearchStrategy[float]:
    if datatype == "bool":
        return st.booleans()
    if datatype.startswith("float"):
        return st.floats(width=32 if datatype == "float32" else 64, allow_nan=False, allow_infinity=False)
    bits = 16 * size(datatype)
    if datatype.startswith("u"):
        return st.integers(0, (1 << bits) - 1)
    return st.integers(1 - (1 << bits - 1), (1 << bits - 1) - 1)


@given(st.data(), st.sampled_from(TYPES), st.sampled_from(ORDERS))
def test_every_datatype_goes_round(
    data: st.DataObject, datatype: Datatype, orders: tuple[Order, Order]
) -> None:
    value = data.draw(values(datatype))
    words, bytes_ = orders
    registers = encode(value, datatype, words=words, bytes_=bytes_)
    assert len(registers) == size(datatype)
    again = decode(registers, datatype, words=words, bytes_=bytes_)
    assert again is not None
    if datatype == "float32":
        assert struct.pack(">f", again) == struct.pack(">f", value)
    else:
        assert again == value
        assert type(again) is type(value)


@given(st.sampled_from(TYPES), st.lists(REGISTER, min_size=4, max_size=4), st.sampled_from(ORDERS))
def test_whatever_stands_there_is_a_value_or_none(
    datatype: Datatype, registers: list[int], orders: tuple[Order, Order]
) -> None:
    value = decode(registers[: size(datatype)], datatype, words=orders[0], bytes_=orders[1])
    if isinstance(value, float):
        assert math.isfinite(value)
    if value is not None and datatype != "bool":
        assert encode(value, datatype, words=orders[0], bytes_=orders[1]) == registers[: size(datatype)]


@pytest.mark.parametrize(
    ("registers", "datatype", "words", "bytes_", "value"),
    [
        ([0x4366, 0x3333], "float32", "big", "big", 230.2),
        ([0x3333, 0x4366], "float32", "little", "big", 230.2),
        ([0x6643, 0x3333], "float32", "big", "little", 230.2),
        ([0x3333, 0x6643], "float32", "little", "little", 230.2),
        ([0x4366, 0x3334], "float32", "big", "big", 230.20001),
        ([0xFF38], "int16", "big", "big", -200),
        ([0x00EA], "uint16", "big", "big", 234),
        ([0x0001, 0x86A0], "uint32", "big", "big", 100_000),
        ([0x86A0, 0x0001], "int32", "little", "big", 100_000),
        ([2], "bool", "big", "big", True),
        ([0xFFFF], "uint16", "big", "big", 65535),
        ([0x7FC0, 0x0000], "float32", "big", "big", None),
        ([0x7F80, 0x0000], "float32", "big", "big", None),
        ([0x8000], "int16", "big", "big", None),
        ([0x8000, 0], "int32", "big", "big", None),
        ([0x8000, 0, 0, 0], "int64", "big", "big", None),
    ],
)
def test_known_registers(
    registers: list[int], datatype: Datatype, words: Order, bytes_: Order, value: float | None
) -> None:
    assert decode(registers, datatype, words=words, bytes_=bytes_) == value


@pytest.mark.parametrize(
    ("value", "datatype"), [(-1, "uint16"), (70_000, "int16"), (1e39, "float32"), (math.nan, "int16")]
)
def test_what_does_not_fit_is_refused(value: float, datatype: Datatype) -> None:
    with pytest.raises(ValueError, match=rf"does not fit {datatype}|cannot convert"):
        encode(value, datatype)


def binding(channel: str = "x", kind: str = "float", **source: object) -> Binding:
    return Binding(
        channel=channel,
        kind=ReadingKind.model_validate({"type": kind}),
        source=ModbusSource.model_validate(source),
    )


def test_scale_and_offset_are_exact_in_decimal() -> None:
    tenth = binding(register=0, scale=0.1)
    assert [tenth.shown([n]) for n in (234, 3, 7, 65535)] == [23.4, 0.3, 0.7, 6553.5]
    assert binding(register=0, datatype="int16", scale=0.01, offset=-40).shown([6123]) == 21.23
    assert binding(kind="int", register=0, scale=10).shown([42]) == 420
    assert tenth.raw(23.4) == [234]
    assert binding(register=0, scale=1e300, datatype="float32").shown([0x7F00, 0]) is None


def test_a_value_of_another_type_is_not_written() -> None:
    for bound, value in ((binding(register=0), True), (binding(register=0), "on")):
        with pytest.raises(ValueError, match="is no uint16"):
            bound.raw(value)
    coil = binding(kind="bool", register=0, function="coil")
    with pytest.raises(ValueError, match=r"1\.0 is no bool"):
        coil.raw(1.0)
    assert coil.raw(value=True) == [1]


SOURCES: st.SearchStrategy[dict[str, object]] = st.builds(
    dict,
    register=st.integers(0, 400),
    function=st.sampled_from(["holding", "input", "coil", "discrete"]),
    datatype=st.sampled_from([t for t in TYPES if t != "bool"]),
)


@given(st.lists(SOURCES, min_size=1, max_size=40), st.integers(0, WIDEST_GAP))
def test_blocks_cover_every_channel_once_within_the_limits(
    sources: list[dict[str, object]], gap: int
) -> None:
    bound = []
    for number, source in enumerate(sources):
        if source["function"] in BITS:
            source.pop("datatype", None)
        bound.append(binding(str(number), "bool" if source["function"] in BITS else "float", **source))
    made = blocks(bound, gap=gap)
    assert sorted(each.channel for block in made for each in block.bindings) == sorted(
        each.channel for each in bound
    )
    for block in made:
        assert {each.source.function for each in block.bindings} == {block.function}
        assert block.start == min(each.start for each in block.bindings)
        assert block.start + block.count == max(each.end for each in block.bindings)
        assert block.function in BITS or block.count <= MOST_REGISTERS
        taken = {n for each in block.bindings for n in range(each.start, each.end)}
        holes = "".join("x" if n in taken else "." for n in range(block.start, block.start + block.count))
        assert "." * (gap + 1) not in holes
        apart = block.apart()
        assert sum(len(part.bindings) for part in apart) == len(block.bindings)
        assert len(apart) > 1 or len(block.bindings) == 1


# Frames that many guides to Modbus RTU print.
READ = bytes.fromhex("010300000002c40b")
ANSWER = bytes.fromhex("01030400060005da31")
REFUSAL = bytes.fromhex("018302c0f1")
WRITE = bytes.fromhex("1106000100039a9b")


def crc(frame: bytes) -> bytes:
    value = 0xFFFF
    for byte in frame:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return frame + value.to_bytes(2, "little")


def test_the_checksum_is_that_of_the_specification() -> None:
    for frame in (READ, ANSWER, REFUSAL, WRITE):
        assert crc(frame[:-2]) == frame


@pytest.mark.parametrize("before", [b"", b"\0", b"\xff\0", READ])
@pytest.mark.parametrize("answer", [ANSWER, REFUSAL])
def test_an_answer_is_found_behind_noise_and_the_lines_own_echo(before: bytes, answer: bytes) -> None:
    assert find_rtu(READ, before + answer).frame == answer
    for cut in range(1, len(answer)):
        assert find_rtu(READ, before + answer[:cut]).frame == b""


def test_a_writes_answer_is_found() -> None:
    assert find_rtu(WRITE, WRITE).frame == WRITE
    assert find_rtu(WRITE, WRITE + WRITE).frame == WRITE
    assert find_rtu(WRITE, crc(bytes.fromhex("110600010004"))).frame == b""


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", ""),
        (READ, "only its own request came back"),
        (ANSWER[:-1] + b"\0", "a damaged answer"),
        (b"\x55" * 300, "a damaged answer"),
        (crc(b"\x02" + ANSWER[1:-2]), "unit 2 answered instead"),
    ],
)
def test_what_is_no_answer_is_told(data: bytes, words: str) -> None:
    found = find_rtu(READ, data)
    assert found.frame == b""
    assert words in found.fault
    assert bool(found.fault) == bool(words)


@given(st.binary(max_size=300), st.sampled_from([READ, WRITE]))
def test_noise_on_the_line_is_never_an_answer_by_mistake(data: bytes, request_: bytes) -> None:
    assume(data[:8] != WRITE)
    found = find_rtu(request_, data)
    if found.frame:
        assert found.frame == crc(found.frame[:-2])
        assert found.frame in data


TCP = bytes.fromhex("000700000006010300000002")


def tcp(pdu: bytes, *, tid: int = 7, unit: int = 1) -> bytes:
    return struct.pack(">HHHB", tid, 0, len(pdu) + 1, unit) + pdu


def test_an_answer_over_tcp_is_found_behind_late_ones() -> None:
    answer = tcp(ANSWER[1:-2])
    assert find_tcp(TCP, answer).frame == answer
    assert find_tcp(TCP, tcp(ANSWER[1:-2], tid=6) + answer).frame == answer
    assert find_tcp(TCP, tcp(b"\x83\x02")).frame == tcp(b"\x83\x02")
    for cut in range(len(answer)):
        assert find_tcp(TCP, answer[:cut]).frame == b""


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", ""),
        (b"\0", "half an answer"),
        (b"HTTP/1.1 400 Bad Request", "no Modbus TCP"),
        (tcp(b"\x03\x04\0\0\0\0", unit=9), "unit 9 answered instead"),
        (tcp(b"\x03\x02\0\0"), "does not fit the request"),
        (tcp(b"\x04\x04\0\0\0\0"), "does not fit the request"),
        (tcp(b"\x83"), "no Modbus TCP"),
    ],
)
def test_what_is_no_answer_over_tcp_is_told(data: bytes, words: str) -> None:
    found = find_tcp(TCP, data)
    assert found.frame == b""
    assert words in found.fault


@given(st.binary(max_size=300))
def test_nothing_over_tcp_raises(data: bytes) -> None:
    found = find_tcp(TCP, data)
    assert found.frame == b"" or found.frame in data
