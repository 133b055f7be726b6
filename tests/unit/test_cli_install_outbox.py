"""What `iotxmpp agent install` says of an outbox, and what an agent writes beside it."""

import ctypes
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from iotxmpp import systemd
from iotxmpp.agent.outbox.replacing import unfinished
from iotxmpp.cli import install_outbox, install_rights
from iotxmpp.cli.install_outbox import files_of
from iotxmpp.serving.auditchain import head_path
from iotxmpp.serving.auditentry import audit_path
from iotxmpp.twin import Desired
from tests.unit.agent_house import House, until
from tests.unit.install_house import BME280, config, folder, install, open_folder, own_user, refused

__all__ = ["config", "folder", "open_folder", "own_user"]


@pytest.mark.parametrize("outbox", ['"data/out.db"', '"out.db"', '{ path = "data/out.db" }'])
def test_an_outbox_that_the_services_own_user_cannot_write_is_refused(
    own_user: Path, folder: Path, outbox: str
) -> None:
    given = 'account = "hall.account.toml"\nprofile = "bme280"\n'
    own_user.write_text(f"{given}outbox = {outbox}\n")
    (own_user.parent / "data").mkdir(mode=0o755)
    text = refused(own_user, "--run-as", "dynamic")
    assert "the service's own user may not write" in text
    assert "leave `outbox` out, so that it is in the service's own folder" in text
    assert not folder.exists()
    for out in ("", 'outbox = "memory"\n'):
        own_user.write_text(given + out)
        assert install(own_user, "--run-as", "dynamic").exit_code == 0


def test_the_outboxs_folder_and_what_is_beside_it_must_be_there_and_open(
    own_user: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_user.write_text('account = "hall.account.toml"\nprofile = "bme280"\noutbox = "data/out.db"\n')
    data = own_user.parent / "data"
    for words in (("--run-as", "dynamic"), ("--run-as", "nobody")):
        assert f"there is no folder {data}" in refused(own_user, *words)
    assert f"sudo install -d -o nobody {data}" in refused(own_user, "--run-as", "nobody")
    assert not folder.exists()
    data.mkdir()
    data.chmod(0o770)
    told = install(own_user, "--run-as", "nobody")
    assert told.exit_code == 0
    assert f"nobody may not write {data}, as its mode is; leave `outbox` out" in told.stderr
    assert f"or run: sudo chown nobody {data}" in told.stderr
    with monkeypatch.context() as patched:
        patched.setattr(install_outbox, "rights_of", lambda *_: (-1, {data.stat().st_gid}))
        assert install(own_user, "--run-as", "dynamic").exit_code == 0  # by the driver's group
    data.chmod(0o777)
    assert "outbox" not in install(own_user, "--run-as", "nobody").stderr
    for name in ("out.db-wal", "out.commands.db", "out.audit.log.head", "out.twin.json", "other.db"):
        (data / name).touch(mode=0o600)
        closed = f"the service's own user may not write {data / name}"
        if name == "other.db":
            assert install(own_user, "--run-as", "dynamic").exit_code == 0
        else:
            assert closed in refused(own_user, "--run-as", "dynamic")
        (data / name).unlink()


def test_what_the_service_wrote_itself_is_its_own(
    own_user: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_user.write_text('account = "hall.account.toml"\nprofile = "bme280"\noutbox = "data/x.db"\n')
    data = own_user.parent / "data"
    data.mkdir()
    data.chmod(0o777)
    for name in ("x.db", "x.db-wal", "x.db.lock", "x.commands.db", "x.audit.log", "x.twin.json"):
        (data / name).touch(mode=0o600)
    assert "may not write" in refused(own_user, "--run-as", "dynamic", "--force")
    made = install_rights.DYNAMIC
    assert (61184 in made, 65519 in made, 61183 in made, 65520 in made) == (True, True, False, False)
    monkeypatch.setattr(install_rights, "DYNAMIC", {data.stat().st_uid})
    assert install(own_user, "--run-as", "dynamic").exit_code == 0
    (data / "x.db").chmod(0o400)
    assert f"may not write {data}/x.db;" in refused(own_user, "--run-as", "dynamic")


def test_only_what_the_agent_writes_is_looked_at(own_user: Path, folder: Path) -> None:
    own_user.write_text('account = "hall.account.toml"\nprofile = "bme280"\noutbox = "data/x.db"\n')
    outbox = own_user.parent / "data/x.db"
    outbox.parent.mkdir()
    outbox.parent.chmod(0o777)
    for end in ("x.db.bak", "x.db.corrupt-1", "x.audit.log.old", "x.twin.json.damaged"):
        (outbox.parent / end).touch(mode=0o600)
    assert install(own_user, "--run-as", "dynamic").exit_code == 0


def test_an_outbox_that_the_services_own_tmp_would_hide_is_told_as_such(
    own_user: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = own_user.parent / "shared"
    shared.mkdir(mode=0o777)
    monkeypatch.setattr(systemd, "_SHARED", (shared,))
    own_user.write_text(f'account = "hall.account.toml"\nprofile = "bme280"\noutbox = "{shared}/x.db"\n')
    text = refused(own_user, "--run-as", "dynamic")
    assert text.startswith(f"the outbox's folder {shared}: a user that systemd makes has a /tmp of its own")
    assert "leave `outbox` out, so that it is in the service's own folder" in text
    assert "/etc/iotxmpp" not in text
    own_user.write_text('account = "hall.account.toml"\nprofile = "bme280"\n')
    monkeypatch.setattr(sys, "executable", str(shared / "python"))
    assert f"Python {shared}/python: " in refused(own_user, "--run-as", "dynamic")


def test_a_linked_outbox_is_written_where_it_leads(own_user: Path, folder: Path) -> None:
    here = own_user.parent
    own_user.write_text(f'{BME280}outbox = "data/x.db"\n')
    for name in ("data", "disk"):
        (here / name).mkdir()
        (here / name).chmod(0o777)
    (here / "data/x.db").symlink_to("../disk/far.db")
    assert install(own_user, "--run-as", "dynamic").exit_code == 0
    assert f"ReadWritePaths={here}/data {here}/disk\n" in (folder / "iotxmpp-hall.service").read_text()
    (here / "disk/far.db-wal").touch(mode=0o600)
    assert f"may not write {here}/disk/far.db-wal;" in refused(own_user, "--run-as", "dynamic")
    (here / "disk").chmod(0o755)
    assert f"may not write {here}/disk;" in refused(own_user, "--run-as", "dynamic")
    assert f"sudo chown nobody {here}/disk" in install(own_user, "--run-as", "nobody").stderr
    (here / "disk/far.db-wal").unlink()
    (here / "disk").rmdir()
    assert f"there is no folder {here}/disk" in refused(own_user, "--run-as", "nobody")


_WRITTEN = 0x2 | 0x8 | 0x80 | 0x100
"""What inotify(7) tells: a file was written, closed after that, moved there, or made."""

_LOST = 0x4000
_EVENT = struct.Struct("iIII")


@contextmanager
def watched(written: set[Path], *folders: Path) -> Iterator[None]:
    """Collects all files that are written in some folders, however short they are there."""
    libc, watches = ctypes.CDLL(None, use_errno=True), dict[int, Path]()
    handle = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    assert handle >= 0
    try:
        for folder in folders:
            watches[libc.inotify_add_watch(handle, os.fsencode(folder), _WRITTEN)] = folder
        assert min(watches) >= 0
        yield
        told, at = os.read(handle, 1 << 22), 0
    finally:
        os.close(handle)
    while at < len(told):
        watch, what, _, length = _EVENT.unpack_from(told, at)
        assert not what & _LOST
        name = told[at + _EVENT.size : at + _EVENT.size + length]
        written.add(watches[watch] / os.fsdecode(name.rstrip(b"\0")))
        at += _EVENT.size + length


@pytest.mark.parametrize("is_linked", [False, True])
async def test_it_is_known_what_an_agent_writes(house: House, tmp_path: Path, *, is_linked: bool) -> None:
    outbox, real = tmp_path / "near/out.box.db", tmp_path / "far/real.db"
    for each in (outbox, real):
        each.parent.mkdir()
    if is_linked:
        outbox.symlink_to(real)
    written: set[Path] = set()
    with watched(written, outbox.parent, real.parent):
        for version in (1, 2):  # the second finds what the first left
            await _live(house, outbox, version)
    head = head_path(audit_path(outbox))
    own = head.with_name(f"{head.name}.{os.getpid()}")  # named by the process, so never another user's
    known = {*files_of(outbox)}
    assert written >= {own, unfinished(real if is_linked else outbox)}
    assert written - {own} <= known
    # SQLite has these until it writes ahead, or where processes share a file.
    others = {each for each in known if each.name.endswith(("-journal", ".commands.db-shm"))}
    assert known - written <= others


async def _live(house: House, outbox: Path, version: int) -> None:
    """An agent that does all that it keeps a file for."""
    agent = house.agent(outbox=outbox)
    agent.channel("level", type="int")

    @agent.setting("brightness")
    def brightness(percent: int = 50) -> None:
        """Changes nothing."""

    agent.command(name="switch")(lambda: "done")
    house.presences.clear()
    async with agent:
        await agent.publish("level", version)
        await until(lambda: version in house.values("level") and bool(house.presences))
        assert await house.call("switch") == "done"
        element = Desired(
            lineage="a1", version=version, base=version - 1, changes={"brightness": version}
        ).element()
        await house.watcher.call(house.presences[-1].sender, element)
        await until(lambda: agent.status.problems == ())
