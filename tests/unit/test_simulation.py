"""Whole simulations in memory, their folders, and what is refused."""

import asyncio
import json
import logging
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

import device_profiles
from iotxmpp.account import Account
from iotxmpp.addresses import DeviceId
from iotxmpp.cli.app import app
from iotxmpp.cli.exits import Exit, exit_code
from iotxmpp.cli.simulate import _allow_many_connections
from iotxmpp.errors import ConfigError, ConflictError, InvalidError, IotxmppError
from iotxmpp.memory import MemoryServer
from iotxmpp.server.devices import add_device, list_devices
from iotxmpp.simulation.fleet import A_SECOND
from iotxmpp.simulation.folder import Folder, opened
from iotxmpp.simulation.order import MOST, members
from iotxmpp.simulation.provision import provision, remove
from iotxmpp.simulation.run import Simulation, Wishes
from iotxmpp.simulation.venue import in_memory
from tests.unit.agent_house import until

ADMIN = Account(jid="admin@localhost", password=SecretStr("secret"))
HOUSE = ("house@localhost",)
OURS = [DeviceId("pir-001"), DeviceId("pir-002")]


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    with levels_kept():
        yield


@contextmanager
def levels_kept() -> Iterator[None]:
    names = ("iotxmpp.agent", "iotxmpp.xmpp", "iotxmpp.memory")
    before = {name: logging.getLogger(name).level for name in names}
    yield
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


def refused(*arguments: str) -> str:
    """What a command says that cannot be carried out as it is given."""
    ended = CliRunner().invoke(app, ["simulate", *arguments])
    if isinstance(ended.exception, IotxmppError):
        assert exit_code(ended.exception) == Exit.USAGE
        return str(ended.exception)
    assert ended.exit_code == 2, ended
    return ended.output


# Whole runs.


async def simulated(folder: Path, *, seconds: float, **wishes: object) -> Simulation:
    """A simulation in memory, once it is over."""
    simulation = Simulation(in_memory(folder), Wishes(**wishes))  # type: ignore[arg-type]  # a test's own words
    async with simulation:
        await simulation.fleet.run(asyncio.Event(), seconds)
    return simulation


async def test_devices_of_several_kinds_run_and_end_well(tmp_path: Path) -> None:
    fleet = members(["bme280=6", "relay4"], count=2)
    done = await simulated(tmp_path / "home", seconds=1.0, members=fleet, every=0.1)
    state = done.fleet.last
    assert (state.devices, state.online, state.seen, state.lost) == (8, 8, 8, 0)
    assert done.fleet.faults() == []
    assert state.values > 100
    assert sorted(path.name for path in (tmp_path / "home").glob("relay4*")) == [
        "relay4-001.account.toml",
        "relay4-002.account.toml",
    ]


async def test_a_run_that_is_too_short_says_who_never_came(tmp_path: Path) -> None:
    fleet = members(["pir"], count=int(A_SECOND) * 10)
    done = await simulated(tmp_path / "home", seconds=0.5, members=fleet, every=5)
    (fault,) = done.fleet.faults()
    assert 1 < done.fleet.last.seen < 20  # they start one after the other
    assert f"of {len(fleet)} never got online: pir-0" in fault


async def test_an_offline_device_is_away_and_back_and_the_truth_says_when(tmp_path: Path) -> None:
    fleet = members(["bme280"], ["offline=1", "silent=1"], count=3, seconds=2.0)
    truth = tmp_path / "truth.jsonl"
    simulation = Simulation(in_memory(None), Wishes(members=fleet, every=0.05, truth=truth))
    low = 3
    async with simulation:
        running = asyncio.create_task(simulation.fleet.run(asyncio.Event(), 2.0))
        while not running.done():
            await asyncio.sleep(0.02)
            state = simulation.fleet.state()
            if "offline" in state.faults:
                low = min(low, state.online)
        await running
    assert (low, simulation.fleet.last.online, simulation.fleet.faults()) == (2, 3, [])
    told = [json.loads(line) for line in truth.read_text(encoding="utf-8").splitlines()]
    assert sorted((line["fault"], line["on"]) for line in told) == [
        ("offline", False),
        ("offline", True),
        ("silent", False),
        ("silent", True),
    ]


async def test_a_device_that_loses_its_link_unasked_is_a_failure(tmp_path: Path) -> None:
    simulation = Simulation(in_memory(tmp_path / "home"), Wishes(members=members(["pir"]), every=0.1))
    async with simulation:
        running = asyncio.create_task(simulation.fleet.run(asyncio.Event(), 0.8))
        await until(lambda: simulation.fleet.state().online == 1)
        assert simulation.venue.memory is not None
        simulation.venue.memory.drop("pir-001@localhost", back_after=0.1)
        await running
    assert simulation.fleet.last.online == 1
    assert simulation.fleet.faults() == ["1 of 1 lost their connection: pir-001"]


def test_the_command_runs_and_sums_up() -> None:
    ended = CliRunner().invoke(
        app, ["simulate", "--profile", "pir=3", "--server", "memory", "--every", "0.2", "--seconds", "1"]
    )
    assert ended.exit_code == 0, ended.output
    assert "3 of 3 devices got online, 3 were at the end; " in ended.output
    short = CliRunner().invoke(
        app, ["simulate", "--profile", "pir=40", "--server", "memory", "--seconds", "0.5"]
    )
    assert isinstance(short.exception, IotxmppError)
    assert exit_code(short.exception) == Exit.FAILED
    assert "never got online" in str(short.exception)


# Folders and devices.


async def test_devices_are_added_once_and_used_again(tmp_path: Path) -> None:
    server = MemoryServer()
    with opened(tmp_path / "home") as folder:
        first = await provision(server, ADMIN, folder, OURS, HOUSE)
        assert await provision(server, ADMIN, folder, OURS, HOUSE) == first
        moved = await provision(server, ADMIN, folder, OURS, ("other@localhost",))
        assert moved[OURS[0]].controllers == ("other@localhost",)
        assert moved[OURS[0]].password != first[OURS[0]].password
        assert await remove(server, ADMIN, folder) == 2
        assert folder.devices() == []
    assert await list_devices(server, ADMIN.service) == []


async def test_what_was_cut_off_while_adding_is_ours_and_renewed(tmp_path: Path) -> None:
    server = MemoryServer()
    with opened(tmp_path / "home") as folder:
        folder.bind(ADMIN.service)
        folder.adding(OURS[0])
        await add_device(server, ADMIN, OURS[0], controllers=HOUSE)
        accounts = await provision(server, ADMIN, folder, OURS, HOUSE)
        for account in accounts.values():
            async with server.link(account):  # the password is the right one
                pass


async def test_a_device_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    server = MemoryServer()
    theirs = await add_device(server, ADMIN, OURS[1], controllers=HOUSE)
    with (
        opened(tmp_path / "home") as folder,
        pytest.raises(ConflictError, match=r"pir-002 is at .* already"),
    ):
        await provision(server, ADMIN, folder, OURS, HOUSE)
    assert await list_devices(server, ADMIN.service) == [OURS[1]]
    async with server.link(theirs):
        pass


def test_a_folder_of_other_things_or_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(ConfigError, match="holds other things"), opened(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(ConfigError, match="cannot be used"), opened(tmp_path / "thesis.txt"):
        pass
    with (
        opened(tmp_path / "home"),
        pytest.raises(ConfigError, match="a simulation runs there"),
        opened(tmp_path / "home"),
    ):
        pass
    with opened(tmp_path / "home") as folder:
        folder.bind("pubsub.one.example")
        with pytest.raises(ConfigError, match=r"at pubsub.*, not at pubsub"):
            Folder(folder.path).bind("pubsub.two.example")
    (tmp_path / "home" / "simulation.json").write_text("[]")
    with pytest.raises(ConfigError, match="not what a simulation writes"), opened(tmp_path / "home"):
        pass


# What is refused.


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--profile bme281", "did you mean bme280"),
        ("", "name a kind of device"),
        ("--profile bme280 --count 0", "'0' devices: give a number from 1 to 1000"),
        ("--profile bme280 --count 100000", "'100000' devices: give a number from 1 to 1000"),
        ("--profile bme280=1e9", "'1e9' devices: give a number"),
        ("--profile bme280=-1", "'-1' devices: give a number"),
        ("--profile bme280=600 --profile pir=600", "1200 devices: one process simulates 1000 at most"),
        ("--profile bme280 --profile bme280=2", "given twice"),
        ("--profile bme280 --fault stcuk=1", "did you mean stuck?"),
        ("--profile bme280 --fault fire=1", "choose stuck, spiky, silent, offline"),
        ("--profile bme280 --fault stuck=x", "such as stuck=3"),
        ("--profile bme280 --fault stuck=0", "such as stuck=3"),
        ("--profile bme280 --fault stuck --fault stuck", "given twice"),
        (
            "--profile bme280 --count 3 --fault stuck=2 --fault silent=2",
            "4 devices with faults, but there are 3",
        ),
        ("--profile bme280 --prefix Ä", "use 1 to 63 of a-z"),
        ("--profile bme280 --since yesterday", "--since 'yesterday'"),
        ("--profile bme280 --outbox cloud", "choose memory or disk"),
        ("--profile bme280 --server nginx", "choose prosody, ejabberd or memory"),
        ("--profile bme280 --server memory --speed 1e9", "100000 at most"),
        ("--profile bme280 --server memory --remove", "goes with its devices"),
        ("--profile bme280 --server memory --account x.toml", "give one of them"),
        ("--profile bme280 --json", "only with --print"),
        ("--profile bme280 --print --server memory", "--print needs no server"),
        ("--profile bme280 --print --seconds -1", "positive, finite"),
        ("--profile bme280 --print --every inf", "positive, finite"),
        ("--profile none.toml --print", "none.toml"),
        ("--profile bme280 --print --since 9999-12-31T23:59:59Z --seconds 100", "years 1 to 9999"),
        ("--profile bme280 --print --since 9999y", "years 1 to 9999"),
    ],
)
def test_bad_words_are_refused_with_what_to_do(words: str, said: str) -> None:
    assert said in " ".join(refused(*words.split()).split())


def test_a_truth_file_that_is_there_is_kept(tmp_path: Path) -> None:
    truth = tmp_path / "truth.jsonl"
    truth.write_text("mine")
    assert "the file exists" in refused("--profile", "pir", "--print", "--truth", str(truth))
    assert truth.read_text() == "mine"
    assert "cannot be written" in refused(
        "--profile", "pir", "--print", "--truth", str(tmp_path / "no" / "f")
    )


def test_a_profile_of_a_file_is_taken_with_its_number(tmp_path: Path) -> None:
    file = tmp_path / "hut.toml"
    file.write_text('schema = 1\nid = "hut"\nversion = "1.0.0"\nextends = "bme280"\n')
    assert [each.device for each in members([f"{file}=2"], prefix="north-")] == [
        "north-hut-001",
        "north-hut-002",
    ]
    with pytest.raises(InvalidError, match="63"):
        members(["bme280"], prefix="x" * 60)


def test_which_devices_are_faulty_follows_from_the_seed() -> None:
    def faulty(seed: int) -> dict[str, str]:
        fleet = members(["pir=90"], ["stuck=3", "spiky=2"], seed=seed)
        return {str(each.device): each.fault.kind for each in fleet if each.fault is not None}

    assert faulty(1) == faulty(1) != faulty(2)
    assert sorted(faulty(1).values()) == ["spiky", "spiky", "stuck", "stuck", "stuck"]
    assert len(members([f"pir={MOST}"])) == MOST
    assert members(device_profiles.names())[0].fault is None


@pytest.mark.parametrize(
    ("limits", "raised"),
    [
        ((1024, 65536), [(8192, 65536)]),
        ((1024, 4096), [(4096, 4096)]),
        ((1024, resource.RLIM_INFINITY), [(8192, resource.RLIM_INFINITY)]),
        ((20000, 20000), []),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), []),
    ],
)
def test_a_thousand_devices_may_have_a_connection_each(
    monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int], raised: list[tuple[int, int]]
) -> None:
    found: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: found.append(wanted))
    _allow_many_connections()
    assert found == raised
