"""The vectors that both sides read: the package agrees with them, and they with the standards."""

import json
from typing import Any

import pytest

from firmware_bridge.crc import crc16
from firmware_bridge.description import Decoder, Description, schema_of
from firmware_bridge.frames import Damage, Frame, Splitter, cobs, decode_frame, encode_frame, uncobs
from firmware_bridge.messages import (
    Call,
    Channel,
    Command,
    Message,
    Report,
    Type,
    parse_message,
    write_message,
)
from firmware_bridge.values import READERS, Kind, read_arguments, write_arguments
from iotxmpp.errors import InvalidError
from tests.unit.bridge_vectors import PATH, crc, vectors

VECTORS: list[dict[str, Any]] = json.loads(PATH.read_text(encoding="utf-8"))


ONE_FLOAT = Description(channels=(Channel(index=0, kind=Kind.FLOAT, name="t"),), commands=())


def of(kind: str) -> Any:  # noqa: ANN401  # pytest's parameters
    return [pytest.param(each, id=each["name"]) for each in VECTORS if each["kind"] == kind]


def test_the_file_is_what_is_built_anew() -> None:
    assert vectors() == VECTORS


def test_the_check_is_genibus() -> None:
    assert crc16(b"123456789") == crc(b"123456789") == 0xD64E
    assert crc16(b"6789", crc16(b"12345")) == 0xD64E


def test_every_type_has_a_vector() -> None:
    types = {each["message"]["type"] for each in VECTORS if each["kind"] == "message"}
    assert types == {each.name.lower() for each in Type}


@pytest.mark.parametrize("vector", of("message"))
def test_messages_are_read_and_written(vector: dict[str, Any]) -> None:
    body, frame = bytes.fromhex(vector["body"]), bytes.fromhex(vector["frame"])
    assert encode_frame(body) == frame
    assert decode_frame(frame) == body
    message = parse_message(body)
    told = vector["message"]
    assert type(message).__name__.lower() == told["type"]
    if vector["name"] != "log-line-ends-in-it":  # what would steer a terminal does not come back
        assert write_message(message) == body
    for key, value in told.items():
        match key:
            case "type" | "arguments" | "values" | "what":
                continue
            case "value" if value is not None:
                assert getattr(message, key) == value["value"]
            case "text" if "\n" in value:
                assert getattr(message, key) == "a\ufffdb\ufffd"
            case _:
                assert getattr(message, key) == value
    check_parts(message, told)


def check_parts(message: Message, told: dict[str, Any]) -> None:
    """What a message holds beyond plain fields."""
    match message:
        case Command(parameters=parameters):
            assert [{"name": p.name, "kind": p.kind, "optional": p.optional} for p in parameters] == told[
                "arguments"
            ]
        case Call(data=data):
            kinds = [Kind(each["kind"]) for each in told["arguments"]]
            values = [each["value"] for each in told["arguments"]]
            assert list(read_arguments(kinds, data)) == values
            assert write_arguments(kinds, values) == data
        case Report(data=data):
            place = 0
            for each in told["values"]:
                assert data[place] == each["index"]
                value, place = READERS[each["kind"]](data, place + 1)
                assert value == each["value"]
            assert place == len(data)


@pytest.mark.parametrize("vector", of("cobs"))
def test_stuffing(vector: dict[str, Any]) -> None:
    data, encoded = bytes.fromhex(vector["data"]), bytes.fromhex(vector["encoded"])
    assert cobs(data) == encoded
    assert uncobs(encoded) == data


@pytest.mark.parametrize("vector", of("schema"))
def test_schemas(vector: dict[str, Any]) -> None:
    assert schema_of([bytes.fromhex(each) for each in vector["bodies"]]) == vector["schema"]


@pytest.mark.parametrize("vector", of("damaged"))
def test_damage_is_refused_where_it_shows(vector: dict[str, Any]) -> None:
    pieces = Splitter().feed(bytes.fromhex(vector["frame"]))
    if vector["error"] in ("check", "stuffing", "length"):
        assert [type(each) for each in pieces] == [Damage]
        with pytest.raises(InvalidError):
            decode_frame(bytes.fromhex(vector["frame"]))
        return
    (piece,) = pieces
    assert isinstance(piece, Frame)
    if vector["name"].startswith("damaged-report"):
        message = parse_message(piece.body)
        assert isinstance(message, Report)
        with pytest.raises(InvalidError, match="report: a channel that the board did not describe"):
            Decoder(ONE_FLOAT).decode(message.data)
    else:
        with pytest.raises(InvalidError):
            parse_message(piece.body)


@pytest.mark.parametrize("vector", of("stream"))
@pytest.mark.parametrize("cut", [1, 2, 3, 7, 1000])
def test_streams_however_they_are_cut(vector: dict[str, Any], cut: int) -> None:
    data, splitter = bytes.fromhex(vector["stream"]), Splitter()
    told: list[dict[str, Any]] = []
    for start in range(0, len(data), cut):
        for piece in splitter.feed(data[start : start + cut]):
            match piece:
                case Frame(body):
                    told.append({"body": body.hex()})
                case Damage():
                    told.append({"damage": True})
                case _:
                    told.append({"line": piece.decode()})
    assert told == vector["pieces"]
