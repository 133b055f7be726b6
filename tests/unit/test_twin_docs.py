"""`docs/twin.md` says what the code does; the command line shows it."""

import re
from xml.etree.ElementTree import fromstring

import pytest

from iotxmpp import twin
from iotxmpp.agent import settings, twinapply
from iotxmpp.cli.twin import check_applied, is_over, rows_of, typed_settings
from iotxmpp.controller import twinrival
from iotxmpp.controller.store.twin import MOST_CHANGES
from iotxmpp.errors import CommandFailedError, DeviceAwayError, NoAnswerError
from iotxmpp.payloads import json_text
from tests.unit.documents import TEXTS, blocks, rows, section

TEXT = TEXTS["docs/twin.md"]


def test_the_examples_are_read() -> None:
    desired, item = [fromstring(each.text) for each in blocks("xml") if each.file == "docs/twin.md"]  # noqa: S314  # our own
    (element,) = desired
    assert twin.parse_desired(element) == twin.Desired(
        lineage="9c41d07be2a5",
        version=8,
        base=7,
        changes={"every/temperature": 10, "brightness": None},
        digest=twin.digest({"every/temperature": 10}),
        by="ann@example.org",
    )
    assert item.get("id") == twin.REPORTED_ITEM
    reported = twin.parse_reported(json_text(item[0]))
    assert (reported.lineage, reported.desired, reported.version) == ("9c41d07be2a5", 8, 31)
    assert reported.refused.keys() == {"brightness"}
    assert reported.digest == twin.digest({"every/temperature": 10, "brightness": 101})


def test_the_figures_are_those_of_the_program() -> None:
    stated = {row[0]: row[1] for row in rows(section(TEXT, "## Limits"))}
    found = [int(re.split(r"\D", limit)[0]) for limit in stated.values()]
    assert found == [
        twin.MOST_SETTINGS,
        twin.LONGEST_NAME,
        twin.LONGEST_JSON,
        twin._LONGEST_WHY,
        twinapply.PATIENCE,
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
    names = {"light"}
    check_applied({**SHOWN, "in_sync": True, "refused": {}}, 1, names)
    check_applied(SHOWN, 1, {"every/temperature"})  # what was refused earlier is another's
    with pytest.raises(CommandFailedError, match="hall: refused: light: too much"):
        check_applied(SHOWN, 1, names)
    with pytest.raises(NoAnswerError, match="version 2 is kept, but was not applied within 1 s"):
        check_applied({**SHOWN, "settled": False}, 1, names)
    with pytest.raises(DeviceAwayError, match="the device is sleeping, and gets it when it is back"):
        check_applied({**SHOWN, "settled": False, "state": "sleeping"}, 1, names)


def test_waiting_goes_on_while_a_value_is_still_being_applied() -> None:
    waits = {**SHOWN, "refused": {"light": f"{twin.STILL}: has not returned after 10 s"}}
    assert not is_over(waits, {"light"})
    assert is_over(waits, {"name"})
    assert is_over(SHOWN, {"light"})
    assert not is_over({**SHOWN, "settled": False}, {"name"})


def test_how_rivals_are_held_back_is_stated() -> None:
    words = " ".join(TEXT.split())
    assert (
        f"{twinrival.FIRST_DELAY:.0f} seconds, doubled each time up to {twinrival.LONGEST_DELAY:.0f}" in words
    )
