"""`docs/twin.md` says what the code does; the command line shows it."""

import re
from xml.etree.ElementTree import fromstring

import pytest

from iotxmpp import twin
from iotxmpp.agent import settings
from iotxmpp.agent import twin as agent_twin
from iotxmpp.cli.twin import check_applied, rows_of, typed_settings
from iotxmpp.controller.store.twin import MOST_CHANGES
from iotxmpp.errors import CommandFailedError, DeviceAwayError, NoAnswerError
from iotxmpp.payloads import json_text
from tests.unit.documents import TEXTS, blocks, rows, section

TEXT = TEXTS["docs/twin.md"]


def test_the_examples_are_read() -> None:
    desired, item = [fromstring(each.text) for each in blocks("xml") if each.file == "docs/twin.md"]  # noqa: S314  # our own
    (element,) = desired
    assert twin.parse_desired(element) == twin.Desired(
        lineage="9c41d07be2a5", version=8, base=7, changes={"every/temperature": 10, "brightness": None}
    )
    assert item.get("id") == twin.REPORTED_ITEM
    reported = twin.parse_reported(json_text(item[0]))
    assert (reported.lineage, reported.desired, reported.version) == ("9c41d07be2a5", 8, 31)
    assert reported.refused.keys() == {"brightness"}


def test_the_figures_are_those_of_the_program() -> None:
    stated = {row[0]: row[1] for row in rows(section(TEXT, "## Limits"))}
    found = [int(re.split(r"\D", limit)[0]) for limit in stated.values()]
    assert found == [
        twin.MOST_SETTINGS,
        twin.LONGEST_NAME,
        twin.LONGEST_JSON,
        twin._LONGEST_WHY,
        agent_twin.PATIENCE,
    ]
    words = " ".join(TEXT.split())
    assert f"from {settings.LEAST_EVERY} to {settings.MOST_EVERY:.0f}" in words
    assert f"for up to {MOST_CHANGES:,} names" in words
    assert f"{twin.DEEPEST_JSON} levels" in words
    assert f"{{{twin.NAMESPACE}}}send-all" == twin.SEND_ALL


SHOWN = {
    "device": "hall",
    "state": "online",
    "desired": {"every/temperature": 10, "light": 200},
    "desired_version": 2,
    "reported": {"every/temperature": 10, "name": "hall"},
    "reported_version": 2,
    "refused": {"light": "too much"},
    "settled": True,
    "in_sync": False,
    "settings": {
        "every/temperature": {"description": "", "value": {"type": "number"}},
        "name": {"description": "", "value": {"type": "string"}},
    },
}


def test_text_becomes_what_a_setting_asks_for() -> None:
    given = {"every/temperature": "10", "name": "10", "other": "true"}
    assert typed_settings(given, SHOWN["settings"]) == {"every/temperature": 10, "name": "10", "other": True}  # type: ignore[arg-type]  # a part of it


def test_each_setting_has_a_row() -> None:
    assert [tuple(row.values()) for row in rows_of(SHOWN)] == [
        ("every/temperature", "10", "10", ""),
        ("light", "200", "", "refused: too much"),
        ("name", "", '"hall"', ""),
    ]


def test_how_waiting_ended_is_told_by_an_error() -> None:
    check_applied({**SHOWN, "in_sync": True}, 1)
    with pytest.raises(CommandFailedError, match="hall: refused: light: too much"):
        check_applied(SHOWN, 1)
    with pytest.raises(NoAnswerError, match="version 2 is kept, but was not applied within 1 s"):
        check_applied({**SHOWN, "settled": False}, 1)
    with pytest.raises(DeviceAwayError, match="the device is sleeping, and gets it when it is back"):
        check_applied({**SHOWN, "settled": False, "state": "sleeping"}, 1)
