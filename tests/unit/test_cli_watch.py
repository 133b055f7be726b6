"""What `iotxmpp watch` prints of a device, and says of one that never came."""

import json

import pytest

from iotxmpp.cli.watch import _check_came, _print_presence, _print_reading
from iotxmpp.errors import UnknownDeviceError
from iotxmpp.readings import Reading

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
    _print_presence("hall", "online", HOSTILE, as_json=False)
    _print_presence("hall", "online", HOSTILE, as_json=True)
    _print_presence("hall", "offline", "", as_json=False)
    text, document, empty = capsys.readouterr().out.splitlines()
    assert text.endswith(f"  hall  online: {SHOWN}")
    assert document.isprintable()
    assert json.loads(document)["text"] == HOSTILE
    assert empty.endswith("  hall  offline: no text")


def test_devices_that_never_came_are_named() -> None:
    _check_came(frozenset())
    with pytest.raises(UnknownDeviceError, match="no device attic, hall came in time: check the name"):
        _check_came(frozenset({"hall", "attic"}))
