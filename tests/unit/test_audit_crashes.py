"""The audit log: crashes, power cuts and full disks lose nothing, and are no false alarm."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from iotxmpp.errors import StoreError
from iotxmpp.serving import auditchain, auditcheck
from iotxmpp.serving.audit import MemoryAudit
from iotxmpp.serving.auditchain import head_path
from iotxmpp.serving.auditcheck import entries, verify
from iotxmpp.serving.audithead import HEAD_BYTES, Head, boot_id, read_head
from tests.unit.test_audit import entry, forged_after, lines, notes, opened, tampered, write

# Crashes and disks.

CHILD = """
import sys, time
from pathlib import Path
from iotxmpp.serving.audit import AuditEntry, AuditLog
log = AuditLog(Path(sys.argv[1]), now=time.time)
number = 0
while True:
    number += 1
    log.append(AuditEntry(time=time.time(), command="water", id=str(number), result="started"))
    print(number, flush=True)
"""


def test_what_was_appended_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    expected = 0
    for _ in range(3):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        told = [child.stdout.readline() for _ in range(20)]
        child.send_signal(signal.SIGKILL)
        told += child.communicate()[0].splitlines()
        before = expected
        expected += int([each for each in told if each.strip()][-1])
        verdict = verify(path)
        assert verdict.ok, verdict.first_fault
        # Killed before it could say so; and a note of a line that the one before was killed in front of.
        assert verdict.lines - expected in (0, 1, 2)
        expected = verdict.lines
        assert expected > before
    write(path, [1])
    assert (verify(path).ok, tampered(path)) == (True, [])


STOPS = """
import os, signal, sys
from pathlib import Path
from iotxmpp.serving.audit import AuditEntry, AuditLog
left = int(sys.argv[2])
def counted(real):
    def call(*given, **more):
        global left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*given, **more)
    return call
for name in ("open", "write", "pwrite", "fsync", "link", "unlink", "rename", "replace", "ftruncate"):
    setattr(os, name, counted(getattr(os, name)))
log = AuditLog(Path(sys.argv[1]), now=lambda: 1.0, most_bytes=700, most_files=2)
for number in range(5):
    log.append(AuditEntry(time=1.0, command="water", id=str(number), result="started"))
log.close()
print("done")
"""


def test_a_kill_at_any_step_is_no_false_alarm(tmp_path: Path) -> None:
    said = set()
    for step in range(1, 200):
        path = tmp_path / str(step) / "audit.log"
        path.parent.mkdir()
        child = subprocess.run(
            [sys.executable, "-c", STOPS, str(path), str(step)], capture_output=True, text=True, check=False
        )
        if path.exists():
            assert verify(path).first_fault == "", step
        write(path, [7])
        assert (verify(path).first_fault, tampered(path)) == ("", []), step
        said |= {each.split(",")[-1].strip() for each in notes(path)}
        if "done" in child.stdout:
            break
        assert child.returncode == -signal.SIGKILL, child.stderr
    else:
        pytest.fail("it never came to its end")
    assert said == {"was not written when the process ended"}


def stopped(path: Path, head: Head, log: bytes) -> None:
    """Leaves what a power cut leaves."""
    boot = "0" * 8 + boot_id()[8:]
    head_path(path).write_text(json.dumps(asdict(replace(head, boot=boot))))
    path.write_bytes(log)


def test_a_power_cut_may_take_what_was_not_synced_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    write(path, range(8))
    all_ = lines(path)
    hashes = ["0" * 64, *(json.loads(line)["hash"] for line in all_)]
    for n, there in ((5, 3), (5, 4), (5, 5), (5, 8), (3, 8)):
        head = Head(n=n, hash=hashes[n], synced=3, synced_hash=hashes[3])
        stopped(path, head, b"".join(all_[:there]))
        assert verify(path).ok
        write(path, [9])
        assert (verify(path).first_fault, tampered(path)) == ("", [])
        assert "those after 3" in notes(path)[0]
    head = Head(n=5, hash=hashes[5], synced=3, synced_hash=hashes[3])
    for log in ([*all_[:2]], [*all_[:2], forged_after(all_[1])], [*all_[:4], forged_after(all_[3])]):
        stopped(path, head, b"".join(log))
        assert not verify(path).ok
        if len(log) < 5:
            write(path, [9])
            assert not verify(path).ok


def test_a_line_that_is_half_written_while_it_is_read_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "audit.log"
    write(path, range(3))
    log = path.read_bytes()
    real = auditchain.read_line

    def slow(line: bytes) -> Any:  # noqa: ANN401  # passed on
        path.write_bytes(log)  # the rest comes while the lines before it are checked
        return real(line)

    before, last = (json.loads(line)["hash"] for line in lines(path)[1:])
    head_path(path).write_text(json.dumps(asdict(Head(n=2, hash=before, next=last))))
    path.write_bytes(log[:-100])
    monkeypatch.setattr(auditcheck, "read_line", slow)
    monkeypatch.setattr(auditcheck, "_TRIES", 1)
    verdict = verify(path)
    assert (verdict.first_fault, verdict.lines) == ("", 2)
    assert (verify(path).first_fault, verify(path).lines) == ("", 3)


def test_a_fault_is_looked_for_again_before_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "audit.log"
    write(path, range(3))
    text = head_path(path).read_bytes()
    head_path(path).write_bytes(text[:100])
    monkeypatch.setattr(time, "sleep", lambda _time: head_path(path).write_bytes(text))
    assert verify(path).ok


@pytest.mark.parametrize("torn", [b'{"n":4,"prev', b"x", b"\xff" * 200_000])
def test_a_line_that_a_crash_cut_off_is_removed_and_noted(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "audit.log"
    write(path, range(3))
    with path.open("ab") as file:
        file.write(torn)
    assert verify(path).ok
    write(path, [3])
    assert notes(path) == [
        f"a line of {len(torn)} bytes was not finished when the process ended; it was removed"
    ]
    assert (verify(path).ok, verify(path).lines) == (True, 5)


def test_a_full_disk_refuses_and_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "audit.log"
    real = os.write
    room = 1000  # two lines and a half

    def full(handle: int, data: bytes) -> int:
        nonlocal room
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = real(handle, bytes(data)[:room])
        room -= written
        return written

    with closing(opened(path)) as log:
        monkeypatch.setattr(os, "write", full)
        log.append(entry(0))
        log.append(entry(1))
        with pytest.raises(StoreError, match=r"audit\.log: No space left on device; no command is obeyed"):
            log.append(entry(2))
        monkeypatch.undo()
        log.append(entry(9))
    assert (verify(path).ok, notes(path)) == (True, [])
    assert [(each["n"], each["id"]) for each in entries(path)] == [
        (1, "call-0"),
        (2, "call-1"),
        (3, "call-9"),
    ]


def test_one_process_writes_and_a_closed_log_refuses(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    log = opened(path)
    with pytest.raises(StoreError, match="another process writes to it"):
        opened(path)
    log.close()
    log.close()
    with pytest.raises(StoreError, match="closed"):
        log.append(entry())
    opened(path).close()


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="no command is obeyed"):
        opened(tmp_path / "file" / "audit.log")
    with pytest.raises(StoreError, match="Is a directory"):
        opened(tmp_path)


def test_the_head_file_follows_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    with closing(opened(path)) as log:
        log.append(entry())
        ends = time.monotonic() + 10
        head = read_head(path)
        assert head is not None
        assert (head.n, head.next, head.boot) == (1, "", boot_id())
        while (head := read_head(path)) is None or head.synced < 1:
            assert time.monotonic() < ends
            time.sleep(0.02)
    head = read_head(path)
    assert head is not None
    assert (head.n, head.synced, head.boot, head_path(path).stat().st_size) == (1, 1, "", HEAD_BYTES)


def test_many_threads_write_one_chain_while_it_is_verified(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    with closing(opened(path, most_bytes=5000, most_files=5)) as log:

        def work() -> None:
            for number in range(100):
                log.append(entry(number))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        verdicts = []
        while any(thread.is_alive() for thread in threads):
            verdicts.append(verify(path))
        for thread in threads:
            thread.join()
    assert verdicts
    assert verify(path).ok
    assert verify(path).last == 400


def test_an_audit_in_memory_keeps_the_newest() -> None:
    audit = MemoryAudit(most=2)
    for number in range(3):
        audit.append(entry(number))
    audit.close()
    assert [each.id for each in audit.entries] == ["call-1", "call-2"]
