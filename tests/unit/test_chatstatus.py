"""What a device answers to `status` in a chat."""

import pytest

from iotxmpp.agent.chatstatus import MOST_READINGS, status_text
from iotxmpp.status import DeviceStatus

Latest = dict[str, tuple[int | float | bool | str, str | None]]


def status(**changes: object) -> DeviceStatus:
    return DeviceStatus.model_validate({"heartbeat": 30, "uptime": 7300, "version": "1", **changes})


def test_a_device_that_is_well_says_so_in_a_few_lines() -> None:
    latest: Latest = {
        "temperature": (21.53, "Cel"),
        "count": (7, None),
        "door": (False, None),
    }
    assert status_text(status(outbox="disk"), "hall", latest).splitlines() == [
        "hall is online, up for 2 h",
        "temperature: 21.53 Cel",
        "count: 7",
        "door: no",
        "outbox: empty, on disk",
        "no problems",
    ]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"buffered": 1, "oldest": 5}, "outbox: 1 reading waiting in memory, the oldest for 5 s"),
        (
            {"buffered": 12, "oldest": 7300, "outbox": "disk"},
            "outbox: 12 readings waiting on disk, the oldest for 2 h",
        ),
        (
            {"dropped": 3, "dead": 2},
            "outbox: empty, in memory; 3 given up since the start; 2 could not be delivered",
        ),
        ({"sleeping": 600}, "hall is going to sleep for 10 min, up for 2 h"),
        ({"problems": ["no answer on the bus"]}, "problem: no answer on the bus"),
    ],
)
def test_what_is_not_well_is_a_line(changes: dict[str, object], line: str) -> None:
    assert line in status_text(status(**changes), "hall", {}).splitlines()


def test_many_readings_are_counted_and_a_text_stays_on_its_line() -> None:
    latest: Latest = {f"c{number}": (number, None) for number in range(50)}
    latest["c0"] = ("two\nlines " + "x" * 1000, None)
    lines = status_text(status(), "hall", latest).splitlines()
    assert len(lines) == MOST_READINGS + 4
    assert lines[1].startswith(r"c0: two\nlines x")
    assert len(lines[1]) < 150
    assert lines[MOST_READINGS + 1] == f"and {50 - MOST_READINGS} more readings"
