"""What `iotxmpp watch` prints of a device, and says of one that never came."""

import json
from xml.etree.ElementTree import Element

import pytest

from iotxmpp.cli.watch import _check_came, _print_presence, _print_reading, _problems
from iotxmpp.errors import UnknownDeviceError
from iotxmpp.link import Presence
from iotxmpp.readings import Reading
from iotxmpp.status import TAG, DeviceStatus

HOSTILE = "open\n10:00:00  attic  online: forged\x9b31m\u202e"
SHOWN = r"open\n10:00:00  attic  online: forged\x9b31m\u202e"


def test_a_reading_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    reading = Reading(channel="door", value=HOSTILE, time=0.0)
    _print_reading("hall", reading, as_json=False)
    _print_reading("hall", reading, as_json=True)
    text, document = capsys.readouterr().out.splitlines()
    assert text.endswith(f"  hall  door {SHOWN}")
    assert document.isprintable()
    assert json.loads(document)["value"] == HOSTILE


def test_a_presence_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    _print_presence("hall", "online", HOSTILE, (), (), as_json=False)
    _print_presence("hall", "online", HOSTILE, (), (), as_json=True)
    _print_presence("hall", "offline", "", None, (), as_json=False)
    text, document, empty = capsys.readouterr().out.splitlines()
    assert text.endswith(f"  hall  online: {SHOWN}")
    assert document.isprintable()
    assert json.loads(document)["text"] == HOSTILE
    assert empty.endswith("  hall  offline: no text")


def test_each_problem_is_a_line_when_it_comes_and_when_it_is_over(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for problems, before in (
        (("no bus", HOSTILE), ()),
        (("no bus", "no bus", "hot"), ("no bus", HOSTILE)),
        (None, ("no bus", "hot")),
        (("hot",), ("no bus", "hot")),
    ):
        _print_presence("hall", "online", "here", problems, before, as_json=False)
    assert [line.partition("  hall  ")[2] for line in capsys.readouterr().out.splitlines()] == [
        *("online: here", "problem: no bus", f"problem: {SHOWN}"),
        *("online: here", f"over: {SHOWN}", "problem: hot"),
        "online: here",
        *("online: here", "over: no bus"),
    ]


def test_a_document_has_all_problems(capsys: pytest.CaptureFixture[str]) -> None:
    _print_presence("hall", "online", "here", ("no bus", HOSTILE), ("no bus",), as_json=True)
    _print_presence("hall", "lost", "", None, ("no bus",), as_json=True)
    told, lost = capsys.readouterr().out.splitlines()
    assert told.isprintable()
    assert json.loads(told)["problems"] == ["no bus", HOSTILE]
    assert json.loads(lost)["problems"] == []


def test_problems_are_those_of_the_presence() -> None:
    def told(*extensions: Element) -> tuple[str, ...] | None:
        return _problems(Presence(extensions=extensions))

    status = DeviceStatus(heartbeat=30, uptime=1, version="1", problems=("no bus",))
    assert told(status.element()) == ("no bus",)
    assert told(status.model_copy(update={"problems": ()}).element()) == ()
    assert told() is None
    assert told(Element(TAG, {"heartbeat": "-1"})) is None


def test_devices_that_never_came_are_named() -> None:
    _check_came(frozenset())
    with pytest.raises(UnknownDeviceError, match="no device attic, hall came in time: check the name"):
        _check_came(frozenset({"hall", "attic"}))
