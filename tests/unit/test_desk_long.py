"""What is long at a controller's desk: it is shortened, comes in pages and pieces, and is never lost."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from iotxmpp.controller import desk_client
from iotxmpp.controller.desk_client import (
    ControllerBusyError,
    Unread,
    ask_desk,
    call_by_desk,
    find_controller,
)
from iotxmpp.controller.desk_read import Ask, read_command, read_commands, read_json, read_twin
from iotxmpp.controller.desk_shown import ALONE, DEEPEST, IN_LIST, PIECE, shortened
from iotxmpp.controller.twindesk import LONGEST_DESIRED
from iotxmpp.errors import (
    ArgumentsError,
    CommandError,
    CommandUnknownError,
    DeviceAwayError,
    NoAnswerError,
    NotAllowedError,
    StoreError,
    UnknownCommandError,
)
from iotxmpp.link import Link
from tests.unit.controller_world import HOUSE, SOON
from tests.unit.desk_case import Case, open_desk_case
from tests.unit.documents import TEXTS

LONG = 'x"é' * 15_000


@pytest.fixture
async def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Case]:
    monkeypatch.setattr(desk_client, "GRACE", 1.0)
    async with open_desk_case(tmp_path) as case:
        yield case


async def desk_of(case: Case, who: str) -> tuple[Link, str, Ask]:
    link, desk = await case.come(who)
    return link, desk, partial(ask_desk, link, desk)


async def queue(case: Case, count: int, text: str = "") -> None:
    hall = case.controller.device("hall")
    for number in range(count):
        await hall.queue("water", {"n": number, "text": text}, ttl="1h")


async def test_long_arguments_and_results_are_listed_shown_and_brought(case: Case) -> None:
    case.result = [LONG[:18_000]]
    link, desk, ask = await desk_of(case, "ann")
    given = {"text": LONG[:12_000]}
    assert await call_by_desk(link, desk, "hall", "water", given, ttl="1m") == case.result
    (row,) = await read_commands(ask, {}, 100)
    assert (row["state"], row["shortened"].keys()) == ("done", {"arguments", "result"})
    assert row["arguments"].startswith('{"text":"x') and row["arguments"].endswith("…")  # noqa: PT018  # one look
    whole = await read_command(ask, row["id"])
    assert (whole["arguments"], whole["result"], "shortened" in whole) == (given, case.result, False)


async def test_a_list_comes_in_pages_in_order_and_to_its_limit(case: Case) -> None:
    await case.away()
    await queue(case, 260, "y" * 170)
    pages: list[int] = []
    _, _, ask = await desk_of(case, "ann")

    async def counted(command: str, arguments: Mapping[str, Any]) -> Any:  # noqa: ANN401  # JSON
        page = await ask(command, arguments)
        pages.append(len(page))
        return page

    found = await read_commands(counted, {"device": "hall", "state": "queued"}, 250)
    assert [each["arguments"]["n"] for each in found] == list(range(10, 260))
    assert len(pages) > 1
    assert sum(pages) == 250
    assert len(await read_commands(ask, {}, 1000)) == 260
    assert await read_commands(ask, {"device": "barn"}, 10) == []


async def test_what_others_queued_does_not_stand_in_the_way_of_a_page(case: Case) -> None:
    await case.away()
    await queue(case, 30)
    _, _, ask = await desk_of(case, "bert")  # he sees the barn alone
    assert await read_commands(ask, {}, 100) == []


async def test_a_deep_result_is_brought_too(case: Case) -> None:
    deep: list[Any] = []
    for _ in range(DEEPEST * 5):
        deep = [deep]
    case.result = deep
    link, desk, ask = await desk_of(case, "ann")
    assert await call_by_desk(link, desk, "hall", "water", {}, ttl="1m") == deep
    (row,) = await read_commands(ask, {}, 1)
    assert (await read_command(ask, row["id"]))["result"] == deep


async def test_an_id_may_be_given_by_its_start(case: Case) -> None:
    await case.away()
    for id_ in ("abc-1", "abc-2", "abd"):
        await case.ask("ann", "call", device="hall", command="water", ttl="1h", id=id_)
    assert (await case.ask("ann", "command", id="abd"))["id"] == "abd"
    assert (await case.ask("ann", "command", id="abc-2"))["id"] == "abc-2"
    with pytest.raises(ArgumentsError, match=r"'ab': several commands .* abc-1, abc-2, abd; give more"):
        await case.ask("ann", "command", id="ab")
    for wrong in ("", "AB", "b", "%"):
        with pytest.raises(UnknownCommandError, match="`iotxmpp commands list`"):
            await case.ask("ann", "command", id=wrong)
    with pytest.raises(UnknownCommandError):
        await case.ask("bert", "command", id="abd")
    answer = await case.ask("ann", "cancel", id="abc-1")
    assert (answer["cancelled"], answer["command"]["id"]) == (True, "abc-1")
    assert [each.state for each in await case.controller.commands()] == ["cancelled", "queued", "queued"]


async def test_parts_are_those_of_a_command(case: Case) -> None:
    await case.away()
    queued = await case.ask("ann", "call", device="hall", command="water", arguments={"n": 1}, ttl="1h")
    part = await case.ask("ann", "part", id=queued["id"], of="arguments")
    assert part == {"text": '{"n":1}', "size": 7}
    with pytest.raises(ArgumentsError, match="use one of"):
        await case.ask("ann", "part", id=queued["id"], of="state")


async def test_a_result_that_cannot_be_brought_is_told_as_done(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk_client, "GRACE", 0.3)
    case.result = "z" * (ALONE + PIECE)

    async def ask(link: Link, desk: str, command: str, arguments: Mapping[str, Any]) -> Any:  # noqa: ANN401  # JSON
        if command == "part":
            raise NoAnswerError("no answer")
        return await ask_desk(link, desk, command, arguments)

    link, desk, _ = await desk_of(case, "ann")
    monkeypatch.setattr(desk_client, "ask_desk", ask)
    result = await call_by_desk(link, desk, "hall", "water", {}, ttl="1m")
    assert isinstance(result, Unread)
    assert result.size == ALONE + PIECE + 2
    assert f"`iotxmpp commands show {result.id}`" in str(result)


@pytest.mark.parametrize("trouble", [ControllerBusyError, NoAnswerError, DeviceAwayError, CommandError])
async def test_waiting_survives_what_passes(
    case: Case, monkeypatch: pytest.MonkeyPatch, trouble: type[Exception]
) -> None:
    left = [trouble("not now")] * 3

    async def ask(link: Link, desk: str, command: str, arguments: Mapping[str, Any]) -> Any:  # noqa: ANN401  # JSON
        if command == "command" and left:
            raise left.pop()
        return await ask_desk(link, desk, command, arguments)

    await case.away()
    link, desk, _ = await desk_of(case, "ann")
    monkeypatch.setattr(desk_client, "ask_desk", ask)
    call = asyncio.create_task(call_by_desk(link, desk, "hall", "water", {}, ttl="1m"))
    async with asyncio.timeout(SOON * 3):
        while left:  # noqa: ASYNC110  # what it asks has no event
            await asyncio.sleep(0.01)
        await case.played.say(outbox="disk")
        assert await call == "watered"


@pytest.mark.parametrize(
    ("trouble", "says", "error"),
    [
        (ControllerBusyError("the controller refused: full"), "the controller refused: full", NoAnswerError),
        (NotAllowedError("no role any more"), "no role any more", CommandUnknownError),
        (UnknownCommandError("no command"), "no command", CommandUnknownError),
    ],
)
async def test_what_still_waits_is_never_told_as_failed(
    case: Case, monkeypatch: pytest.MonkeyPatch, trouble: Exception, says: str, error: type[Exception]
) -> None:
    async def ask(link: Link, desk: str, command: str, arguments: Mapping[str, Any]) -> Any:  # noqa: ANN401  # JSON
        if command == "command":
            raise trouble
        return await ask_desk(link, desk, command, arguments)

    monkeypatch.setattr(desk_client, "GRACE", 0.2)
    monkeypatch.setattr(desk_client, "ask_desk", ask)
    await case.away()
    link, desk = await case.come("ann")
    with pytest.raises(error, match=says) as told:
        await call_by_desk(link, desk, "hall", "water", {}, ttl=0.2)
    assert "commands show" in str(told.value)
    assert "device refused" not in str(told.value)


async def test_a_full_disk_refuses_changes_by_the_controllers_name_and_answers_reads(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    await case.away()
    monkeypatch.setattr(desk_client, "PUT_AGAIN", (0.01,))
    link, desk, ask = await desk_of(case, "ann")
    waiting = asyncio.create_task(call_by_desk(link, desk, "hall", "water", {}, ttl="1m"))
    async with asyncio.timeout(SOON):
        while not await case.controller.commands():  # noqa: ASYNC110  # the store tells nobody
            await asyncio.sleep(0.01)
    keeping = case.controller._running()._keeping
    assert keeping is not None
    assert keeping.audit is not None

    def full(*_entry: object) -> None:
        raise StoreError("no space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(type(keeping.audit), "append", full)
        assert len(await read_commands(ask, {}, 10)) == 1
        with pytest.raises(ControllerBusyError, match="the controller refused"):
            await call_by_desk(link, desk, "hall", "water", {}, ttl="1m")
        await asyncio.sleep(0.5)  # some looks at what waits
        assert not waiting.done()
    await case.played.say(outbox="disk")
    assert await waiting == "watered"


async def test_refusals_of_the_desk_name_the_controller(case: Case) -> None:
    with pytest.raises(UnknownCommandError, match="this controller has: "):
        await case.ask("ann", "fly")
    stranger = await case.link("stranger")
    with pytest.raises(NotAllowedError, match="this controller gave you no role"):
        await ask_desk(stranger, case.controller._running()._link.jid, "commands", {})
    case.world.server.drop(f"{HOUSE}", back_after=None)
    ann = await case.link("ann")
    with pytest.raises(DeviceAwayError, match="no controller runs"):
        await find_controller(ann, HOUSE, 0.1)


async def test_settings_that_would_not_travel_back_are_refused_and_nothing_is_kept(case: Case) -> None:
    _, _, ask = await desk_of(case, "house")
    with pytest.raises(ArgumentsError, match=f"at most {LONGEST_DESIRED} are taken"):
        await ask("desire", {"device": "hall", "settings": {"note": "n" * 40_000}})
    assert (await ask("twin", {"device": "hall"}))["desired_version"] == 0
    await ask("desire", {"device": "hall", "settings": {"note": "n" * 20_000}})
    with pytest.raises(ArgumentsError, match="nothing was changed"):
        await ask("desire", {"device": "hall", "settings": {"more": "n" * 5_000}})
    shown = await read_twin(ask, await ask("twin", {"device": "hall"}))
    assert shown["desired_version"] == 1
    assert shown["shortened"] == {"desired": {"note": 20_002}}


async def test_long_settings_that_are_there_are_shown_and_taken_away(case: Case) -> None:
    _, _, ask = await desk_of(case, "house")
    many = {f"s{number:03}": f"{number}" * 200 for number in range(100)}
    given = {**many, "note": LONG[:3_000], "deep": [[1]]}
    await case.controller.device("hall").desire_with(given)
    first = await ask("twin", {"device": "hall"})
    assert first["after"]
    shown = await read_twin(ask, first)
    assert (shown["desired"].keys(), list(shown["shortened"]["desired"])) == (given.keys(), ["note"])
    assert (await read_twin(ask, first, whole=True))["desired"] == given
    answer = await ask("desire", {"device": "hall", "settings": {"note": None}})
    assert (await read_twin(ask, answer, whole=True))["desired"] == {**many, "deep": [[1]]}


async def test_pieces_of_what_is_no_json_are_refused(case: Case) -> None:
    async def ask(_command: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return {"text": "{"[arguments["start"] :], "size": 5}

    with pytest.raises(CommandError, match="in pieces is no JSON"):
        await read_json(ask, "part", {})


def test_what_is_short_stays_as_it_is() -> None:
    assert shortened({"n": 1}, 7) == ({"n": 1}, 0)
    assert shortened({"n": 1}, 6) == ('{"n…', 7)
    assert shortened("abcdefgh", 6) == ("abc…", 10)


def test_the_bounds_are_told() -> None:
    for name in ("docs/twin.md", "docs/cli.md"):
        assert f"{LONGEST_DESIRED} bytes of JSON" in " ".join(TEXTS[name].split())
    words = " ".join(TEXTS["docs/commands.md"].split())
    assert f"beyond {IN_LIST} characters of JSON in a list and {ALONE:,} of a command alone" in words
    assert f"nested more than {DEEPEST} deep" in words
