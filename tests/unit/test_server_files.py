"""The server's directory: made, refused, owned, locked."""

import os
import pwd
import stat
from pathlib import Path

import pytest

from iotxmpp.server import ServerDirectoryError, ServerKind
from iotxmpp.server.files import (
    Owner,
    _check_reachable,
    _may_pass,
    last_lines,
    locked,
    prepare,
    server_owner,
    write,
)
from iotxmpp.server.layout import Layout


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_directory_is_ours_alone(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "below" / "server")
    prepare(layout, None)
    assert {mode(path) for path in (layout.directory, layout.etc, layout.var)} == {0o700}


def test_an_earlier_directory_is_taken_over(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "server")
    prepare(layout, None)
    layout.settings.write_text("")
    prepare(layout, None)


def test_a_directory_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_text("")
    tmp_path.chmod(0o755)
    with pytest.raises(ServerDirectoryError, match="holds other things; choose a new or empty one"):
        prepare(Layout(tmp_path), None)
    assert mode(tmp_path) == 0o755
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


def test_a_directory_that_its_user_could_not_reach_is_not_made(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(ServerDirectoryError, match="stranger, who may not pass"):
        prepare(Layout(closed / "below" / "server"), Owner(name="stranger", uid=64999, gid=64999))
    assert list(closed.iterdir()) == []


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(ServerDirectoryError, match="choose another"):
        prepare(Layout(path), None)


def test_a_folder_that_its_user_may_not_pass_is_named(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    stranger = Owner(name="stranger", uid=64999, gid=64999)
    first = next(
        folder for folder in reversed((closed / "server").parents) if not folder.stat().st_mode & stat.S_IXOTH
    )
    with pytest.raises(
        ServerDirectoryError, match=rf"stranger, who may not pass {first};.*chmod o\+x {first}"
    ):
        _check_reachable(closed / "server", stranger)


@pytest.mark.parametrize(
    ("permissions", "uid", "gid", "passes"),
    [
        (0o100, 5, 9, True),
        (0o077, 5, 9, False),
        (0o010, 9, 6, True),
        (0o701, 9, 6, False),
        (0o001, 9, 9, True),
        (0o776, 9, 9, False),
    ],
)
def test_the_kernels_rule_for_passing_a_folder(permissions: int, uid: int, gid: int, passes: bool) -> None:
    folder = os.stat_result((stat.S_IFDIR | permissions, 0, 0, 1, 5, 6, 0, 0, 0, 0))
    assert _may_pass(folder, Owner(name="server", uid=uid, gid=gid)) is passes


def test_nobody_runs_a_server_as_root() -> None:
    owner = server_owner(ServerKind.PROSODY)
    if os.geteuid() != 0:
        assert owner is None
    else:
        assert owner is not None
        assert owner.uid == pwd.getpwnam(owner.name).pw_uid != 0


def test_a_user_that_is_missing_gives_way_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    known = pwd.struct_passwd(("nobody", "x", 65534, 65534, "", "/", ""))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", lambda name: {"nobody": known}[name])
    assert server_owner(ServerKind.EJABBERD) == Owner(name="nobody", uid=65534, gid=65534)
    monkeypatch.setattr(pwd, "getpwnam", lambda name: {}[name])
    with pytest.raises(ServerDirectoryError, match="must not run as root"):
        server_owner(ServerKind.EJABBERD)


def test_write_replaces_a_link_instead_of_following_it(tmp_path: Path) -> None:
    victim, target = tmp_path / "victim", tmp_path / "target"
    victim.write_text("precious")
    target.symlink_to(victim)
    write(target, "new")
    assert (victim.read_text(), target.read_text(), target.is_symlink()) == ("precious", "new", False)
    assert mode(target) == 0o600


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="folder"):
        write(tmp_path / "folder", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_the_lock_is_held_once(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    with locked(layout) as first, locked(layout) as second:
        assert first is not None
        assert second is None
    with locked(layout) as again:
        assert again is not None


def test_whoever_keeps_the_descriptor_keeps_the_lock(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    with locked(layout) as lock:
        assert lock is not None
        kept = os.dup(lock)
    with locked(layout) as other:
        assert other is None
    os.close(kept)
    with locked(layout) as other:
        assert other is not None


def test_last_lines_are_those_of_the_files_that_have_any(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_text("one\ntwo\nthree\n")
    assert last_lines(tmp_path / "missing", log, count=2) == "  server.log: two\n  server.log: three"
