"""The launcher and the child: rights, files, and an end with the parent."""

import asyncio
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from iotxmpp.server import launcher
from iotxmpp.server.child import Child, Start

LAUNCH = (sys.executable, "-I", "-S", launcher.__file__)


Starter = Callable[..., Start]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    hold = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)

    def _start(*command: str, folder: Path = tmp_path) -> Start:
        return Start(
            command=command,
            env={"PATH": os.defpath},
            folder=folder,
            console=tmp_path / "console.log",
            owner=None,
            hold=hold,
        )

    yield _start
    os.close(hold)


def launch(*arguments: str, parent: int | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*LAUNCH, str(parent or os.getpid()), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=10,
    )


def test_it_becomes_the_program() -> None:
    done = launch(launcher.KEEP, launcher.KEEP, "/bin/echo", "a b")
    assert (done.returncode, done.stdout) == (0, "a b\n")


def test_a_program_that_is_missing_is_named() -> None:
    done = launch(launcher.KEEP, launcher.KEEP, "/nowhere/prosody")
    assert done.returncode == 1
    assert "cannot start /nowhere/prosody" in done.stderr


def test_a_parent_that_is_gone_is_not_outlived() -> None:
    done = launch(launcher.KEEP, launcher.KEEP, "/bin/echo", "started", parent=2**22)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "the parent ended" in done.stderr


def test_rights_are_dropped_or_nothing_is_started() -> None:
    done = launch("65534", "65534", "/bin/sh", "-c", "id -u; id -g; id -G; umask")
    if os.geteuid() == 0:
        assert done.stdout.split() == ["65534", "65534", "65534", "0077"]
    else:
        assert (done.returncode, done.stdout) == (1, "")


def test_it_asks_for_as_many_files_as_it_may_have() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    assert launch(launcher.KEEP, launcher.KEEP, "/bin/sh", "-c", "ulimit -n").stdout == f"{wanted}\n"


async def test_a_child_says_how_it_ended(tmp_path: Path, start: Starter) -> None:
    child = Child(start("/bin/sh", "-c", "echo hello; exit 7"))
    assert await asyncio.wait_for(child.wait(), 10) == 7
    assert child.ended
    assert (tmp_path / "console.log").read_text() == "hello\n"
    child.kill()
    child.terminate()


async def test_a_waiter_that_gives_up_disturbs_no_other(tmp_path: Path, start: Starter) -> None:
    child = Child(start("/bin/sleep", "60"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(child.wait(), 0.01)
    assert not child.ended
    child.kill()
    assert await asyncio.wait_for(child.wait(), 10) == -signal.SIGKILL


def test_a_child_outlives_the_loop_and_the_thread_that_started_it(tmp_path: Path, start: Starter) -> None:
    async def begin() -> Child:
        return await asyncio.to_thread(Child, start("/bin/sleep", "60"))

    async def end(child: Child) -> int:
        child.terminate()
        return await asyncio.wait_for(child.wait(), 10)

    child = asyncio.run(begin())
    assert not child.ended
    assert asyncio.run(end(child)) == -signal.SIGTERM


def test_a_program_that_cannot_be_spawned_raises_where_it_was_asked(tmp_path: Path, start: Starter) -> None:
    with pytest.raises(FileNotFoundError):
        Child(start("/bin/true", folder=tmp_path / "missing"))
