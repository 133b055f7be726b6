"""`iotxmpp call --where`: which devices are called, what is printed, and how it ends."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from io import StringIO
from types import SimpleNamespace
from typing import Any
from xml.etree.ElementTree import Element

import pytest
from rich.console import Console

from iotxmpp.about import Channel, CommandAbout
from iotxmpp.cli.call_where import Many, call_devices, print_result, settled
from iotxmpp.cli.progress import Bar
from iotxmpp.commands import COMMAND_TAG, failure_element, parse_call, result_element
from iotxmpp.controller import Controller
from iotxmpp.controller.bulk import BulkResult
from iotxmpp.errors import ArgumentsError, CommandError, UnknownCommandError, UnknownDeviceError
from iotxmpp.link import Request
from iotxmpp.where import parse_where
from tests.unit.controller_world import SOON, PlayedDevice, World, about_of, until

SWITCH = CommandAbout(
    arguments={
        "type": "object",
        "properties": {"on": {"type": "boolean"}, "note": {"type": "string", "default": ""}},
        "required": ["on"],
        "additionalProperties": False,
    }
)


@dataclass
class Fleet:
    """Three relays that are there, of which one fails; one that is away; and a sensor."""

    controller: Controller
    played: dict[str, PlayedDevice]
    called: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def serve(self, name: str) -> None:
        async def answer(request: Request) -> Element:
            call = parse_call(request.payload)
            self.called.append((name, json.loads(call.arguments_json or "{}")))
            if name == "sensor":
                await asyncio.Event().wait()
            if name == "relay-2":
                return failure_element(call, "it is stuck\nid  done")
            return result_element(call, {"by": name})

        self.played[name].link.serve(COMMAND_TAG, answer)


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    world = World()
    abouts = {
        f"relay-{number}": about_of(
            f"relay-{number}",
            profile="relay4 1",
            site="north" if number < 4 else "south",
            commands={"switch": SWITCH},
            channels={"load": Channel(type="int")},
            tags=("spare",) if number == 1 else (),
        )
        for number in (1, 2, 3, 4)
    }
    abouts["sensor"] = about_of("sensor", profile="bme280 1", site="north", commands={}, channels={})
    async with AsyncExitStack() as stack:
        stack.push_async_callback(world.close)
        played = {}
        for name, about in abouts.items():
            await world.add(name)
            if name == "relay-3":  # described, and away
                async with world.device(name, describe=False) as away:
                    await away.describe(about)
                continue
            played[name] = await stack.enter_async_context(world.device(name, describe=False))
            await played[name].describe(about)
        controller = await stack.enter_async_context(
            await world.controller(collects=False, discover_every=60)
        )
        fleet = Fleet(controller, played)
        for name, each in played.items():
            fleet.serve(name)
            await each.say()
            await controller.wait_for(name, timeout=SOON)
        await until(lambda: all(device.about for device in controller.devices.values()))
        yield fleet


def many(where: str, command: str = "switch", **changes: Any) -> Many:  # noqa: ANN401  # a table of options
    defaults: dict[str, Any] = {
        "given": {"on": "true"},
        "max_in_flight": 50,
        "stop_after_failures": None,
        "timeout": SOON,
        "settle": 0.1,
        "dry_run": False,
        "as_json": False,
    }
    return Many(where=parse_where(where), command=command, **{**defaults, **changes})


async def run(fleet: Fleet, wanted: Many, **options: Any) -> int:  # noqa: ANN401  # passed on
    return await call_devices(fleet.controller, wanted, options.pop("stop", asyncio.Event()), **options)


async def test_all_that_are_meant_are_called_and_told(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run(fleet, many("profile=relay4 and not (id=relay-2 or id=relay-3)")) == 0
    assert sorted(fleet.called) == [("relay-1", {"on": True}), ("relay-4", {"on": True})]
    said = capsys.readouterr()
    assert sorted(said.out.splitlines()) == [
        'relay-1  done: {"by": "relay-1"}',
        'relay-4  done: {"by": "relay-4"}',
    ]
    assert said.err == "2 devices: 2 done\n"


async def test_one_that_fails_and_one_that_is_away(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(fleet, many("profile=relay4 and site=north")) == 1
    said = capsys.readouterr()
    assert sorted(said.out.splitlines()) == [
        'relay-1  done: {"by": "relay-1"}',
        r"relay-2  failed: it is stuck\nid  done",
        "relay-3  skipped: device relay-3 is unknown: command switch was not sent",
    ]
    assert said.err == "3 devices: 1 done, 1 failed, 1 skipped\n"
    assert await run(fleet, many("id=relay-1 or id=relay-3")) == 8


async def test_as_json_each_result_and_the_summary_are_a_line(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run(fleet, many("site=north and profile=relay4", as_json=True, max_in_flight=1)) == 1
    said = capsys.readouterr()
    lines = [json.loads(line) for line in said.out.splitlines()]
    assert said.err == ""
    assert [(line["device"], line["outcome"]) for line in lines[:-1]] == [
        ("relay-1", "done"),
        ("relay-2", "failed"),
        ("relay-3", "skipped"),
    ]
    assert lines[0]["result"] == {"by": "relay-1"}
    assert lines[1]["text"] == "it is stuck\nid  done"
    assert lines[-1] == {"summary": {"done": 1, "failed": 1, "unknown": 0, "skipped": 1}}


async def test_no_more_are_called_after_a_failure(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = many("id~relay-*", max_in_flight=1, stop_after_failures=1)
    assert await run(fleet, wanted) == 1
    assert [name for name, _ in fleet.called] == ["relay-1", "relay-2"]
    assert "relay-4  skipped: not sent: stopped after 1 failure" in capsys.readouterr().out


async def test_one_that_does_not_answer_is_named(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    await fleet.played["sensor"].describe(about_of("sensor", commands={"switch": SWITCH}))
    sensor = fleet.controller.device("sensor")
    await until(lambda: sensor.about is not None and sensor.about.commands)
    assert await run(fleet, many("id=sensor or id=relay-1", timeout=0.1)) == 9
    said = capsys.readouterr()
    assert "sensor  unknown: no answer" in said.out
    assert said.err == "2 devices: 1 done, 1 unknown\nit may have been carried out on: sensor\n"


async def test_a_dry_run_sends_nothing_and_says_who_is_meant(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run(fleet, many("site=north and profile=relay4", dry_run=True)) == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "relay-1  online  would be called",
        "relay-2  online  would be called",
        "relay-3  unknown  away: would be skipped",
    ]
    assert said.err == "3 devices; nothing was sent\n"
    assert await run(fleet, many("site=north", dry_run=True, as_json=True)) == 6
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["would"] for line in lines] == ["call", "call", "skip", "refuse"]
    assert "sensor has no command 'switch'" in lines[3]["text"]
    assert await run(fleet, many("tag=spare", given={"on": "maybe"}, dry_run=True)) == 2
    assert "relay-1  online  would refuse: command switch: on: " in capsys.readouterr().out
    assert fleet.called == []


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({}, UnknownCommandError, "because 1 of 5 devices would refuse it: sensor has no command 'switch'"),
        ({"given": {"on": "yes"}}, ArgumentsError, "because 5 of 5 devices would refuse it"),
        ({"given": {"on": "true", "colour": "red"}}, ArgumentsError, "colour"),
        ({"given": {}}, ArgumentsError, "on: Field required"),
    ],
)
async def test_what_one_of_them_would_refuse_is_sent_to_none(
    fleet: Fleet, changes: Mapping[str, Any], error: type[CommandError], says: str
) -> None:
    with pytest.raises(error, match="nothing was sent") as refused:
        await run(fleet, many("id~*", **changes))
    assert says in str(refused.value)
    assert fleet.called == []


async def test_nobody_is_meant(fleet: Fleet) -> None:
    with pytest.raises(
        UnknownDeviceError, match="no device matches 'site=west'; 5 are known to this account"
    ):
        await run(fleet, many("site=west"))


async def test_after_an_interrupt_no_more_are_called(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    stop = asyncio.Event()
    stop.set()
    assert await run(fleet, many("id~relay-*", max_in_flight=1), stop=stop) == 130
    assert "relay-4  skipped: not sent: stopped" in capsys.readouterr().out
    assert len(fleet.called) <= 1


@pytest.mark.parametrize(
    ("device", "waits"),
    [
        ({}, False),
        ({"state": "offline"}, False),
        ({"state": "unknown"}, True),
        ({"about": None}, True),
        ({"readings": {}}, True),
        ({"readings": {}, "about": about_of("a", channels={})}, False),
    ],
)
async def test_it_waits_until_what_can_be_asked_is_known(device: dict[str, object], waits: bool) -> None:
    known = {"about": about_of("a"), "state": "online", "readings": {"temperature": 1}}
    controller: Any = SimpleNamespace(devices={"a": SimpleNamespace(**{**known, **device})})
    waiting = asyncio.create_task(settled(controller, many("reading.temperature>1", settle=SOON)))
    done, _ = await asyncio.wait({waiting}, timeout=0.1)
    assert (waiting in done) is not waits
    controller.devices.clear()
    async with asyncio.timeout(SOON):
        await waiting


async def test_it_does_not_wait_for_ever() -> None:
    silent = SimpleNamespace(about=None, state="unknown", readings={})
    controller: Any = SimpleNamespace(devices={"a": silent})
    async with asyncio.timeout(SOON):
        await settled(controller, many("id=a", settle=0.01))


def test_a_result_that_json_cannot_say_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    for as_json in (False, True):
        result = BulkResult(device="a", outcome="done", result=float("nan"))
        print_result(result, as_json=as_json)
        assert "its result is no JSON that can be shown" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("result", "line"),
    [
        (None, "a  done"),
        ("", "a  done"),
        ("two\nlines\x1b", r"a  done: two\nlines\x1b"),
        (0, "a  done: 0"),
        (False, "a  done: false"),
        ([], "a  done: []"),
    ],
)
def test_a_result_is_one_line(result: object, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_result(BulkResult(device="a", outcome="done", result=result), as_json=False)
    assert capsys.readouterr().out == f"{line}\n"


# Bars.


@pytest.mark.parametrize("is_terminal", [False, True])
def test_a_bar_is_for_a_terminal_and_shows_what_is_said(is_terminal: bool) -> None:
    shown = StringIO()
    with Bar("fill", Console(file=shown, force_terminal=is_terminal, width=80)) as bar:
        bar.show(None, "opening")
        bar.show(0.5, "half [red]full[/]\x1b]0;owned\x07")
    text = shown.getvalue()
    assert ("half [red]full[/]\\x1b]0;owned\\x07" in text) is is_terminal
    assert "\x1b]0;" not in text


def test_nothing_is_shown_where_nothing_is_said() -> None:
    shown = StringIO()
    with Bar("fill", Console(file=shown, force_terminal=True)):
        pass
    assert shown.getvalue() == ""
