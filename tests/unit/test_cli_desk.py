"""`iotxmpp commands`, `iotxmpp twin` and `iotxmpp call --ttl`: run whole, against a controller that runs."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import pytest
from pydantic import Field
from typer.testing import CliRunner

from iotxmpp import Account, Agent
from iotxmpp.access import Access, Grant
from iotxmpp.addresses import DeviceNodes, device_id
from iotxmpp.cli.app import app
from iotxmpp.cli.commands import short_ids
from iotxmpp.cli.exits import exit_code
from iotxmpp.controller.desk_client import ask_desk, find_controller
from iotxmpp.errors import IotxmppError, NoAnswerError
from iotxmpp.link import Link
from iotxmpp.provisioning import NodePolicy
from tests.unit.controller_world import HOUSE, SOON, World, account, until

ANN = "ann@localhost"
OLAF = "olaf@localhost"
ACCESS = Access((Grant(who=ANN, role="operator", devices=("hall",)), Grant(who=OLAF, role="observer")))


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command line ended."""

    exit_code: int
    stdout: str
    stderr: str


class Stage:
    """What each command line meets: a server, a device, and a controller, if they are there.

    All of it lives on the loop of the command that runs; only the controller's store outlives it.
    """

    def __init__(self, folder: Path) -> None:
        self.store = f"sqlite:///{folder / 'controller.db'}"
        self.folder = folder
        self.device_is_there = True
        self.controller_runs = True
        self.watered: list[int] = []
        self.shone: list[int] = []

    def __call__(self, ours: Account) -> "StagedLink":
        """Stands in for `XmppLink`."""
        return StagedLink(self, ours)

    @asynccontextmanager
    async def open(self, world: World) -> AsyncIterator[None]:
        await world.add("hall")
        nodes = DeviceNodes(service=world.server.service, device=device_id("hall"))
        policy = NodePolicy(publisher="hall@localhost", readers=(HOUSE,), keep=1)
        await world.server.create_node(nodes.state, policy)
        for jid in (HOUSE, ANN, OLAF):
            await world.server.create_account(jid, "secret", renew=True)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(world.close)
            hall = await stack.enter_async_context(world.server.link(account("hall@localhost")))
            agent = self.agent(hall)
            await stack.enter_async_context(agent)
            await until(lambda: "hall" in str(world.server._hub.pubsub.newest(HOUSE, nodes.about, 1)))
            if not self.device_is_there:
                world.server.drop("hall@localhost", back_after=None)
            if self.controller_runs:
                made = await world.controller(store=self.store, discover_every=60, access=ACCESS)
                controller = await stack.enter_async_context(made)
                await controller.wait_for("hall", online=self.device_is_there or None, timeout=SOON)
                await until(lambda: controller.device("hall").about is not None)
            yield

    def agent(self, link: Link) -> Agent:
        agent = Agent(
            Account(**{**account("hall@localhost").model_dump(), "controllers": (HOUSE,)}),
            link=link,
            outbox="memory",
        )

        @agent.command
        def water(seconds: int = 10) -> str:
            """Waters."""
            self.watered.append(seconds)
            return f"watered for {seconds} s"

        @agent.command
        def echo(text: str, times: int = 1) -> str:
            """Says it again."""
            return text * times

        @agent.setting("brightness")
        def brightness(percent: Annotated[int, Field(ge=0, le=100)] = 50) -> None:
            """How bright it shines."""
            self.shone.append(percent)

        return agent

    def queue(self) -> str:
        """Has a command wait for the device, which is away; its id."""

        async def put() -> str:
            self.device_is_there = False
            async with self(account(HOUSE)) as staged:
                link = staged.link
                desk = await find_controller(link, HOUSE, SOON)
                asked = {"device": "hall", "command": "water", "arguments": {"seconds": 7}, "ttl": "6h"}
                return str((await ask_desk(link, desk, "call", asked))["id"])

        return asyncio.run(put())

    def run(self, *words: str, who: str = "house") -> Ended:
        """Runs a command line; an error is told, and its exit code is, as the program does it."""
        account_file = str(self.folder / f"{who}.toml")
        try:
            ended = CliRunner().invoke(app, [*words, "--account", account_file], catch_exceptions=False)
        except IotxmppError as error:
            return Ended(exit_code=exit_code(error), stdout="", stderr=str(error))
        return Ended(exit_code=ended.exit_code, stdout=ended.stdout, stderr=ended.stderr)


class StagedLink:
    """A link of a command line's; with it everything starts and ends."""

    def __init__(self, stage: Stage, ours: Account) -> None:
        self._stage = stage
        self._world = World()
        self._stack = AsyncExitStack()
        self.link = self._world.server.link(ours)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # all that a link has
        return getattr(self.link, name)

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._stage.open(self._world))
        await self._stack.enter_async_context(self.link)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    for name in ("house", "ann", "olaf"):
        account(f"{name}@localhost").save(tmp_path / f"{name}.toml")
    monkeypatch.setenv("COLUMNS", "200")
    made = Stage(tmp_path)
    monkeypatch.setattr("iotxmpp.xmpp.XmppLink", made)
    monkeypatch.setattr("iotxmpp.cli.twin.ANSWERS_WITHIN", SOON)
    return made


def test_what_waits_is_listed_and_shown(stage: Stage) -> None:
    id_ = stage.queue()
    told = stage.run("commands", "list")
    assert told.exit_code == 0
    (row,) = [line for line in told.stdout.splitlines() if id_[:8] in line]
    assert [each.strip() for each in row.split("│")][1:6] == [id_[:8], "hall", "water", "queued", HOUSE]
    (found,) = [json.loads(line) for line in stage.run("commands", "list", "--json").stdout.splitlines()]
    assert (found["id"], found["arguments"]) == (id_, {"seconds": 7})
    assert (
        stage.run("commands", "list", "--device", "hall@localhost", "--state", "queued").stdout == told.stdout
    )
    none = stage.run("commands", "list", "--state", "done")
    assert (none.stdout, none.stderr) == ("", "no commands\n")
    shown = stage.run("commands", "show", id_).stdout
    assert 'arguments  {"seconds": 7}' in shown
    assert "state      queued" in shown
    assert json.loads(stage.run("commands", "show", id_[:8], "--json").stdout) == found


def test_what_waits_is_cancelled(stage: Stage) -> None:
    id_ = stage.queue()
    ended = stage.run("commands", "cancel", id_[:8])
    assert (ended.exit_code, ended.stderr) == (0, f"{id_}: cancelled\n")
    assert json.loads(stage.run("commands", "show", id_, "--json").stdout)["state"] == "cancelled"


def test_what_was_done_is_not_cancelled(stage: Stage) -> None:
    stage.run("call", "hall", "water", "--ttl", "1m")
    id_ = json.loads(stage.run("commands", "list", "--json").stdout)["id"]
    ended = stage.run("commands", "cancel", id_)
    assert (ended.exit_code, ended.stderr) == (1, f"{id_}: not cancelled, it is done\n")
    again = stage.run("commands", "cancel", id_, "--json")
    assert (again.exit_code, json.loads(again.stdout)["cancelled"]) == (1, False)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["commands", "list", "--state", "odd"], 2, "use one of queued"),
        (["commands", "show", "nothing"], 6, "no command nothing"),
        (["commands", "cancel", "nothing"], 6, "no command nothing"),
        (["twin", "get", "barn"], 6, "barn"),
        (["twin", "set", "hall"], 2, "give a setting"),
        (["twin", "set", "hall", "brightness=1", "--remove", "brightness"], 2, "both given and taken away"),
        (
            ["commands", "list", "--controller", "nobody@localhost"],
            8,
            "no controller runs as nobody@localhost",
        ),
    ],
)
def test_what_goes_wrong_is_told_with_its_exit_code(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, says: str
) -> None:
    monkeypatch.setattr("iotxmpp.cli.commands.FOUND_WITHIN", 0.5)
    ended = stage.run(*words)
    assert (ended.exit_code, says in ended.stderr) == (code, True), ended.stderr


def test_without_a_controller_that_runs_the_exit_code_says_away(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iotxmpp.cli.twin.ANSWERS_WITHIN", 0.1)
    stage.controller_runs = False
    ended = stage.run("twin", "get", "hall")
    assert (ended.exit_code, "iotxmpp controller run" in ended.stderr) == (8, True)


def test_a_setting_is_changed_and_shown(stage: Stage) -> None:
    told = stage.run("twin", "set", "hall", "brightness=20", "--wait", "2s")
    assert told.exit_code == 0, told.stderr
    assert told.stdout.splitlines()[-1].startswith(
        "hall is online; version 1 is desired, 1 reported: in sync"
    )
    assert stage.shone == [50, 20]
    shown = json.loads(stage.run("twin", "get", "hall@localhost", "--json").stdout)
    assert (shown["desired"], shown["desired_version"]) == ({"brightness": 20}, 1)


def test_a_setting_that_is_refused_and_one_of_a_device_that_is_away(stage: Stage) -> None:
    refused = stage.run("twin", "set", "hall", "brightness=101", "--wait", "2s")
    assert (refused.exit_code, "refused: brightness" in refused.stderr) == (1, True), refused.stderr
    stage.device_is_there = False
    away = stage.run("twin", "set", "hall", "brightness=30", "--wait", "0.05s")
    assert (away.exit_code, "gets it when it is back" in away.stderr) == (8, True), away.stderr
    assert json.loads(stage.run("twin", "get", "hall", "--json").stdout)["desired"] == {"brightness": 30}


def test_a_call_with_a_time_to_live_goes_through_the_controller(stage: Stage) -> None:
    called = stage.run("call", "hall", "water", "seconds=3", "--ttl", "1m")
    assert (called.exit_code, called.stdout) == (0, "watered for 3 s\n"), called.stderr
    many = stage.run("call", "--where", "id=hall", "water", "--ttl", "1m")
    assert (many.exit_code, many.stdout) == (0, "hall  done: watered for 10 s\n"), many.stderr
    assert stage.watered == [3, 10]
    listed = stage.run("commands", "list", "--json").stdout.splitlines()
    assert [json.loads(line)["state"] for line in listed] == ["done", "done"]


@pytest.mark.parametrize(
    "words",
    [
        ["call", "hall", "water", "seconds=3", "--ttl", "1m"],
        ["call", "hall@localhost", "water", "seconds=3"],
        ["call", "--where", "id=hall", "water", "seconds=3", "--ttl", "1m"],
        ["call", "--where", "id=hall", "water", "seconds=3"],
    ],
)
def test_a_person_with_a_role_calls_by_the_controller(stage: Stage, words: list[str]) -> None:
    called = stage.run(*words, "--controller", HOUSE, who="ann")
    assert (called.exit_code, "watered for 3 s" in called.stdout) == (0, True), called.stderr
    listed = stage.run("commands", "list", "--json", "--controller", HOUSE, who="ann").stdout
    assert [json.loads(line)["by"] for line in listed.splitlines()] == [ANN]


@pytest.mark.parametrize(
    ("who", "words", "code", "says"),
    [
        ("olaf", ["hall", "water", "--ttl", "1m"], 7, "water asks for operator"),
        ("olaf", ["--where", "id=hall", "water", "--ttl", "1m"], 7, "water asks for operator"),
        ("ann", ["barn", "water", "--ttl", "1m"], 7, "has no role on barn"),
        ("olaf", ["barn", "water", "--ttl", "1m"], 6, "barn"),
        (
            "ann",
            ["--where", "id=barn", "water", "--ttl", "1m"],
            6,
            "no device matches 'id=barn'; 1 are known",
        ),
        ("ann", ["hall", "fly", "--ttl", "1m"], 6, "hall has no command 'fly'; it has: echo, water"),
        (
            "ann",
            ["--where", "id=hall", "fly", "--ttl", "1m"],
            6,
            "hall has no command 'fly'; it has: echo, water",
        ),
        ("ann", ["hall", "water", "seconds=soon", "--ttl", "1m"], 2, "seconds"),
        ("ann", ["--where", "id=hall", "water", "seconds=soon", "--ttl", "1m"], 2, "nothing was sent"),
        ("ann", ["--where", "id=hall", "water", "--store", "sqlite://"], 2, "--store is for direct calls"),
    ],
)
def test_what_a_person_may_not_or_cannot_call_by_the_controller(
    stage: Stage, who: str, words: list[str], code: int, says: str
) -> None:
    ended = stage.run("call", *words, "--controller", HOUSE, who=who)
    assert (ended.exit_code, says in ended.stderr + ended.stdout) == (code, True), ended
    assert stage.watered == []


def test_by_the_controller_a_device_that_is_away_is_waited_for_only_with_a_ttl(stage: Stage) -> None:
    stage.device_is_there = False
    by = ("--controller", HOUSE)
    plan = stage.run("call", "--where", "id=hall", "water", "--dry-run", *by, who="ann")
    assert (plan.exit_code, plan.stdout) == (0, "hall  unknown  away: would be skipped\n")
    plan = stage.run("call", "--where", "id=hall", "water", "--dry-run", "--ttl", "1h", *by, who="ann")
    assert (plan.exit_code, plan.stdout) == (0, "hall  unknown  would be called\n")
    one = stage.run("call", "hall", "water", *by, who="ann")
    assert (one.exit_code, "hall is unknown; the command was not sent" in one.stderr) == (8, True)
    many = stage.run("call", "--where", "id=hall", "water", *by, who="ann")
    assert (many.exit_code, "skipped" in many.stdout) == (8, True)
    assert stage.run("commands", "list").stderr == "no commands\n"


def test_what_is_long_comes_whole_and_a_list_of_it_is_short(stage: Stage) -> None:
    text = "x" * 60_000
    called = stage.run("call", "hall", "echo", f"text={text}", "--ttl", "1m")
    assert (called.exit_code, called.stdout) == (0, f"{text}\n"), called.stderr
    many = stage.run("call", "--where", "id=hall", "echo", f"text={text[:40_000]}", "--ttl", "1m", "--json")
    assert json.loads(many.stdout.splitlines()[0])["result"] == text[:40_000]
    listed = stage.run("commands", "list", "--json")
    rows = [json.loads(line) for line in listed.stdout.splitlines()]
    assert [row["shortened"] for row in rows] == [
        {"arguments": 60_011, "result": 60_002},
        {"arguments": 40_011, "result": 40_002},
    ]
    assert len(listed.stdout) < 4_000
    shown = json.loads(stage.run("commands", "show", rows[0]["id"], "--json").stdout)
    assert (shown["arguments"], shown["result"]) == ({"text": text}, text)


def test_a_result_that_cannot_be_brought_is_no_failure(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_asked: object) -> None:
        raise NoAnswerError("no answer")

    monkeypatch.setattr("iotxmpp.controller.desk_client.GRACE", 0.2)
    monkeypatch.setattr("iotxmpp.controller.desk_client.read_json", broken)
    words = ("echo", "text=x", "times=9000", "--ttl", "1m")
    one = stage.run("call", "hall", *words)
    assert (one.exit_code, one.stdout) == (0, "")
    assert "done, but its result of 9002 characters could not be brought (no answer)" in one.stderr
    many = stage.run("call", "--where", "id=hall", *words, "--json")
    line = json.loads(many.stdout.splitlines()[0])
    assert (many.exit_code, line["outcome"], "result" in line) == (0, "done", False)
    assert "read it with `iotxmpp commands show " in line["text"]


def test_a_long_setting_is_refused_with_the_bound_and_harms_nothing(stage: Stage) -> None:
    refused = stage.run("twin", "set", "hall", f"note={'n' * 40_000}", "--wait", "2s")
    assert (refused.exit_code, "at most 24000 are taken" in refused.stderr) == (2, True), refused
    told = stage.run("twin", "set", "hall", f"note={'n' * 20_000}")
    assert (told.exit_code, "(20002 characters; --json shows all)" in told.stdout) == (0, True), told.stderr
    shown = json.loads(stage.run("twin", "get", "hall", "--json").stdout)
    assert shown["desired"] == {"note": "n" * 20_000}
    assert stage.run("twin", "set", "hall", "--remove", "note").exit_code == 0
    assert json.loads(stage.run("twin", "get", "hall", "--json").stdout)["desired"] == {}


def test_short_ids_tell_each_from_the_others() -> None:
    ids = ["a" * 32, "a" * 9 + "b" * 23, "c" * 32, "d", "dd"]
    assert short_ids(ids) == {
        ids[0]: "a" * 10,
        ids[1]: "a" * 9 + "b",
        ids[2]: "c" * 8,
        "d": "d",
        "dd": "dd",
    }
