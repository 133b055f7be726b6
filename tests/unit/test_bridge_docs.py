"""docs/serial.md is true: its examples, limits and checks are those of the code."""

import json
import re
from pathlib import Path

import pytest

from firmware_bridge.asking import FIRST_WAIT, MOST_RETRIES
from firmware_bridge.calls import MOST_WAITING
from firmware_bridge.frames import MAX_BLOCK, MAX_BODY, OVERHEAD, decode_frame, encode_frame
from firmware_bridge.learning import LEAST_RX, MOST_KNOWN
from firmware_bridge.lines import LONGEST, Ignored, parse_line
from firmware_bridge.messages import Status, Type, parse_message
from firmware_bridge.numbering import MOST_NUMBER
from firmware_bridge.reports import MOST_HELD
from firmware_bridge.textsession import DEFAULT_RX
from firmware_bridge.values import LONGEST_TEXT, Kind
from tests.unit.bridge_vectors import PATH

TEXT = (Path(__file__).parents[2] / "docs" / "serial.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"<!-- frame: (\S+) -->\n```\n([0-9a-f \n]+)```", TEXT))
VECTORS = {each["name"]: each for each in json.loads(PATH.read_text(encoding="utf-8"))}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_a_vector_and_is_read(name: str) -> None:
    frame = bytes.fromhex(EXAMPLES[name])
    assert frame.hex() == VECTORS[name]["frame"]
    body = decode_frame(frame)
    parse_message(body)
    assert encode_frame(body) == frame


def test_every_type_status_and_kind_is_there() -> None:
    assert {decode_frame(bytes.fromhex(each))[0] for each in EXAMPLES.values()} == set(Type)
    for kind in Type:
        assert f"**{kind:02X} {kind.name}**" in TEXT
    assert re.findall(r"^\| (\d) \| ", TEXT, re.MULTILINE) == [str(each.value) for each in (*Kind, *Status)]


def test_the_lines_are_understood() -> None:
    (block,) = re.findall(r"<!-- lines -->\n```\n(.*?)```", TEXT, re.DOTALL)
    lines = block.encode().splitlines()
    assert len({type(parse_line(each)) for each in lines}) == 5
    assert not any(isinstance(parse_line(each), Ignored) for each in lines)


def test_the_limits_are_those_of_the_code() -> None:
    (table,) = re.findall(r"<!-- limits -->\n((?:\|.*\n)+)", TEXT)
    limits = [int(each) for each in re.findall(r"\| (\d+) \|$", table, re.MULTILINE)]
    assert limits == [
        LONGEST,
        MAX_BODY,
        MAX_BLOCK,
        LONGEST_TEXT,
        LEAST_RX,
        DEFAULT_RX,
        MOST_WAITING,
        MOST_HELD,
        MOST_KNOWN,
        MOST_RETRIES,
    ]
    assert f"{OVERHEAD} more than the body" in TEXT
    assert f"of 1 to {MOST_NUMBER:,}, the greatest" in TEXT
    assert f"after {FIRST_WAIT * 1000:.0f} ms" in TEXT
    assert f"{sum(FIRST_WAIT * 2**n for n in range(MOST_RETRIES + 1))} seconds" in TEXT
