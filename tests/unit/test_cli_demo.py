"""The parts of the demo: its folder, its picture, and what it notices."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console
from rich.table import Table

import device_profiles
from iotxmpp import server
from iotxmpp.addresses import DeviceId
from iotxmpp.cli.demo import _command, check_picture, demo, picture_of
from iotxmpp.demo.cast import CAST
from iotxmpp.demo.folder import demo_folder, sweep
from iotxmpp.demo.stage import MemoryStage, how_it_ended, last_words, stop
from iotxmpp.demo.story import Play, Story
from iotxmpp.errors import ConfigError, IotxmppError
from iotxmpp.server import ServerMissingError
from iotxmpp.server.child import Child, Start
from tests.unit.agent_house import until


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def left(parent: Path, name: str, owner: str | None) -> Path:
    folder = parent / name
    (folder / "files").mkdir(parents=True)
    (folder / "files" / "account.toml").write_text("secret")
    if owner is not None:
        (folder / "pid").write_text(owner)
    return folder


def test_a_demo_removes_the_folders_of_demos_that_are_gone(temporary: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as over:
        pass
    with demo_folder() as running:
        ours = (running / "pid").read_text()
        gone = left(temporary, "iotxmpp-demo-gone", f"{over.pid} 7")
        reused = left(temporary, "iotxmpp-demo-reused", f"{os.getpid()} 1")
        kept = [
            left(temporary, "iotxmpp-demo-alive", ours),
            left(temporary, "iotxmpp-demo-new", None),
            left(temporary, "iotxmpp-demo-half", ""),
            left(temporary, "other", f"{over.pid} 7"),
        ]
        link = temporary / "iotxmpp-demo-link"
        link.symlink_to(kept[-1])
        with demo_folder() as second:
            assert not gone.exists()
            assert not reused.exists()
            assert all((each / "files" / "account.toml").exists() for each in kept)
            assert link.is_symlink()
            assert running.exists()
        assert not second.exists()


def test_folders_of_other_users_are_left(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = left(temporary, "iotxmpp-demo-theirs", "0 0")
    user = theirs.stat().st_uid
    monkeypatch.setattr("os.geteuid", lambda: user + 1)
    sweep(temporary)
    assert theirs.exists()
    monkeypatch.setattr("os.geteuid", lambda: user)
    sweep(temporary)
    assert not theirs.exists()


def left_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def child(folder: Path, script: str) -> Child:
    command = (sys.executable, "-c", script)
    return Child(Start(command=command, env=dict(os.environ), folder=folder, console=folder / "log"))


async def test_a_process_that_does_not_end_is_killed(tmp_path: Path) -> None:
    hung, ready = child(tmp_path, "import time; time.sleep(60)"), child(tmp_path, "pass")
    os.kill(hung.pid, signal.SIGSTOP)
    await ready.wait()
    assert await stop(ready, within=5)
    assert not await stop(hung, within=0.1)
    assert await hung.wait() == -signal.SIGKILL


def test_how_a_process_ended() -> None:
    assert how_it_ended(4) == "exit code 4"
    assert how_it_ended(-signal.SIGKILL) == "SIGKILL"


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ((), "it logged no warning"),
        (("2026-01-02 03:04:05,678 INFO iotxmpp: online",), "it logged no warning"),
        (
            (
                "2026-01-02 03:04:05,678 WARNING iotxmpp: down",
                "2026-01-02 03:04:06,000 INFO iotxmpp: again",
                "",
            ),
            "2026-01-02 03:04:05,678 WARNING iotxmpp: down",
        ),
        (("2026-01-02 03:04:05,678 DEBUG iotxmpp: x", "iotxmpp: bad password"), "iotxmpp: bad password"),
    ],
)
def test_the_last_words_of_a_device(tmp_path: Path, lines: tuple[str, ...], words: str) -> None:
    log = tmp_path / "device.log"
    assert last_words(log) == "it logged no warning"
    log.write_text("\n".join(lines))
    assert last_words(log) == words


def test_a_device_that_is_away_or_silent_is_a_fault(temporary: Path) -> None:
    play = Play(MemoryStage(), metrics_port=0)
    slow, quick, away, new, unseen = CAST
    devices = {
        slow.device: SimpleNamespace(online=True, silence=9.9),
        quick.device: SimpleNamespace(online=True, silence=10.6),
        away.device: SimpleNamespace(online=False, silence=0.1),
        new.device: SimpleNamespace(online=True, silence=None),
    }
    play.controller = SimpleNamespace(devices=devices)  # type: ignore[assignment]  # all that is looked at
    assert [play._absence(role) for role in (slow, quick, away, new, unseen)] == [
        "",
        f"{quick.device}: silent for 11 s",
        f"{away.device}: not online",
        f"{new.device}: never heard",
        f"{unseen.device}: not online",
    ]


async def test_the_first_reading_of_every_channel_is_seen(temporary: Path) -> None:
    expected = {role.device: set(device_profiles.load(role.profile).channels()) for role in CAST}
    expected[DeviceId("this-machine")].discard("cpu-temperature")  # not every machine tells it
    stop = asyncio.Event()
    async with MemoryStage() as stage:
        play = Play(stage, metrics_port=0)
        async with play.controller:
            acting = asyncio.create_task(play.act(stop, None))
            devices = play.controller.devices
            await until(
                lambda: all(names <= devices[name].readings.keys() for name, names in expected.items()),
                seconds=10,
            )
            stop.set()
            await acting
    assert left_in(temporary) == []


def test_the_picture_names_no_fonts_of_other_hosts() -> None:
    console = Console(record=True, file=StringIO(), width=40)
    console.print(Table("device"))
    assert "@font-face" in console.export_svg()  # else there would be nothing to leave out
    picture = picture_of(Table("device"))
    assert "device" in picture
    assert "@font-face" not in picture
    assert "url(http" not in picture
    assert "url(&" not in picture


def test_a_picture_that_can_be_written_is_left_as_it_is(tmp_path: Path) -> None:
    old, new = tmp_path / "old.svg", tmp_path / "new.svg"
    old.write_text("as it was")
    check_picture(old)
    check_picture(new)
    assert old.read_text() == "as it was"
    assert not new.exists()


def test_a_picture_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.svg"
    os.mkfifo(pipe)
    for path in (Path("/proc/x.svg"), tmp_path, pipe):
        with pytest.raises(ConfigError, match=f"^picture {path}: cannot be written: "):
            check_picture(path)


@pytest.mark.parametrize(
    ("name", "error"), [("", ConfigError), ("prosody", ServerMissingError), ("ejabberd", ServerMissingError)]
)
def test_without_a_server_the_demo_starts_nothing_and_names_the_one_in_memory(
    name: str, error: type[IotxmppError], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(server, "installed", lambda _kind: False)
    with pytest.raises(error) as caught:
        demo(name)
    assert f"{name or 'prosody'} is not installed; on Debian" in str(caught.value)
    assert str(caught.value).endswith("; or play without one: iotxmpp demo --server memory")
    assert capsys.readouterr() == ("", "")


def test_what_a_device_answers_adds_no_line() -> None:
    story = Story()
    first, second, *_ = story.devices.values()
    first.failure, second.answer = "stuck\n\x9b", '"\u2028"'
    assert _command(story, first.role.device, utf=True) == f"{first.role.call}\nfailed: stuck\\n\\x9b"
    assert _command(story, second.role.device, utf=False) == f'{second.role.call}\n-> "\\u2028"'
