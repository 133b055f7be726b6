"""The audit log: nothing is lost by a crash, and nothing is changed unseen."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iotxmpp.errors import StoreError
from iotxmpp.serving.audit import AuditEntry, AuditLog, MemoryAudit
from iotxmpp.serving.auditchain import head_path, line_of, read_head, rotated_files
from iotxmpp.serving.auditcheck import entries, verify

NOW = 1_790_000_000.0


def entry(number: int = 0, **more: Any) -> AuditEntry:  # noqa: ANN401  # its fields
    plain = AuditEntry(
        time=NOW + number,
        who="bob@example.org/phone",
        by="bob@example.org",
        device="greenhouse-1",
        command="water",
        id=f"call-{number}",
        door="machine",
        arguments='{"seconds":10}',
        result="done",
    )
    return replace(plain, **more)


def opened(path: Path, **more: int) -> AuditLog:
    return AuditLog(path, now=lambda: NOW, **more)


def write(path: Path, numbers: Sequence[int], **more: int) -> None:
    with closing(opened(path, **more)) as log:
        for number in numbers:
            log.append(entry(number))


def notes(path: Path) -> list[str]:
    return [each["text"] for each in entries(path) if each["result"] == "note"]


def test_what_is_written_is_read_and_verifies(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "audit.log"
    write(path, range(3))
    write(path, range(3, 5))
    told = list(entries(path))
    assert [(each["n"], each["id"], each["arguments"]) for each in told] == [
        (number + 1, f"call-{number}", '{"seconds":10}') for number in range(5)
    ]
    verdict = verify(path)
    assert (verdict.ok, verdict.lines, verdict.last, verdict.first_fault) == (True, 5, 5, "")
    assert path.stat().st_mode & 0o077 == 0
    assert verify(path, expect=(5, verdict.hash)).ok


def test_an_empty_log_verifies_and_one_that_is_not_there_is_told(tmp_path: Path) -> None:
    write(tmp_path / "audit.log", [])
    assert verify(tmp_path / "audit.log").ok
    with pytest.raises(StoreError, match="is not there"):
        verify(tmp_path / "none.log")
    with pytest.raises(StoreError, match="is not there"):
        list(entries(tmp_path / "none.log"))


def test_a_line_is_what_the_document_says() -> None:
    line, digest = line_of(1, "0" * 64, {"time": 1.5, "text": "ü"})
    assert line == (
        b'{"n":1,"prev":"' + b"0" * 64 + b'","time":1.5,"text":"\\u00fc","hash":"' + digest.encode() + b'"}\n'
    )
    assert json.loads(line)["hash"] == digest


def test_long_texts_are_cut_and_no_text_ends_a_line(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    with closing(opened(path)) as log:
        log.append(entry(arguments="x" * 5000, text="a\nb\ud800\x00" + "y" * 5000, who="z" * 5000))
    (told,) = entries(path)
    assert (len(told["arguments"]), len(told["text"]), len(told["who"])) == (1000, 1000, 256)
    assert told["text"].startswith("a\nb")
    assert len(path.read_bytes().splitlines()) == 1
    assert verify(path).ok


# Each change is found.


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


CHANGES: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "a word is changed": lambda all_: [*all_[:3], all_[3].replace(b"water", b"drain"), *all_[4:]],
    "the first line is removed": lambda all_: all_[1:],
    "a line is removed": lambda all_: [*all_[:4], *all_[5:]],
    "the last line is removed": lambda all_: all_[:-1],
    "all lines are removed": lambda _all: [],
    "a line stands twice": lambda all_: [*all_[:4], all_[3], *all_[4:]],
    "two lines are swapped": lambda all_: [*all_[:3], all_[4], all_[3], *all_[5:]],
    "a line is put in between": lambda all_: [*all_[:3], b'{"n":4}\n', *all_[3:]],
    "an empty line is put in between": lambda all_: [*all_[:3], b"\n", *all_[3:]],
    "a line of the same number is forged": lambda all_: [
        *all_[:5],
        line_of(6, json.loads(all_[4])["hash"], {"text": "nothing happened"})[0],
    ],
    "the log is forged anew": lambda _all: [line_of(1, "0" * 64, {"text": "nothing happened"})[0]],
    "the last line's end is removed": lambda all_: [*all_[:-1], all_[-1].rstrip(b"\n")],
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_found_at_once_and_after_the_log_went_on(tmp_path: Path, change: str) -> None:
    path = tmp_path / "audit.log"
    write(path, range(6))
    path.write_bytes(b"".join(CHANGES[change](lines(path))))
    found = verify(path)
    assert not found.ok
    assert found.first_fault
    write(path, range(6, 9))
    assert not verify(path).ok


def test_a_removed_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    write(path, range(6))
    path.unlink()
    with pytest.raises(StoreError):
        verify(path)
    write(path, range(6, 9))
    assert "begins with line 7" in verify(path).first_fault
    assert notes(path) == ["lines before this one were removed or changed while the log was closed"]


def test_a_removed_or_damaged_head_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    write(path, range(3))
    for text in (None, "", "[]", '{"n":"3"}', "{" * 5000):
        if text is None:
            head_path(path).unlink()
        else:
            head_path(path).write_text(text)
        assert "the head file is missing or damaged" in verify(path).first_fault
    write(path, [3])
    assert notes(path) == ["the head file was not there; lines may be missing before this one"]


def test_a_log_that_was_forged_as_a_whole_is_found_by_who_kept_a_hash(tmp_path: Path) -> None:
    path, other = tmp_path / "audit.log", tmp_path / "other.log"
    write(path, range(6))
    kept = verify(path)
    write(other, range(10, 20))
    other.replace(path)
    head_path(other).replace(head_path(path))
    assert verify(path).ok
    assert "line 6 is another one" in verify(path, expect=(kept.last, kept.hash)).first_fault
    assert "lines up to 99 were removed" in verify(path, expect=(99, "")).first_fault


@given(st.integers(min_value=0), st.integers(min_value=0, max_value=255))
@settings(max_examples=60, deadline=None)
def test_each_changed_byte_is_found(tmp_path_factory: pytest.TempPathFactory, place: int, byte: int) -> None:
    path = tmp_path_factory.mktemp("audit") / "audit.log"
    write(path, range(4))
    text = bytearray(path.read_bytes())
    place %= len(text)
    changed = text[place] != byte
    text[place] = byte
    path.write_bytes(text)
    assert verify(path).ok != changed


# Files.


def test_the_chain_goes_on_through_files_and_the_oldest_go(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    write(path, range(10), most_bytes=1500, most_files=4)
    first_files = rotated_files(path)
    assert len(first_files) == 2
    assert all(file.stat().st_size <= 1500 for file in (path, *first_files))
    write(path, range(10, 40), most_bytes=1500, most_files=4)
    assert len(rotated_files(path)) == 3
    assert not set(first_files) & set(rotated_files(path))
    told = list(entries(path))
    assert [each["n"] for each in told] == list(range(told[0]["n"], 41))
    verdict = verify(path)
    assert (verdict.ok, verdict.last) == (True, 40)
    rotated_files(path)[0].unlink()
    assert "were removed" in verify(path).first_fault


def test_a_rotated_file_that_is_changed_or_removed_is_found(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    write(path, range(10), most_bytes=1500, most_files=9)
    middle = rotated_files(path)[1]
    text = middle.read_bytes()
    middle.write_bytes(text.replace(b"water", b"drain", 1))
    assert middle.name in verify(path).first_fault
    middle.unlink()
    assert "stands after line" in verify(path).first_fault
    middle.write_bytes(text)
    assert verify(path).ok


def test_a_crash_between_the_old_file_and_the_new_one_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    write(path, range(3))
    path.rename(tmp_path / "audit.log.3")
    write(path, range(3, 5))
    assert (verify(path).ok, verify(path).lines, notes(path)) == (True, 5, [])


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
        assert verdict.lines - expected in (0, 1)  # killed before it could say so
        expected = verdict.lines
        assert expected > before
    write(path, [1])
    assert (verify(path).ok, notes(path)) == (True, [])


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
        while (head := read_head(path)) is None or head.n < 1:
            assert time.monotonic() < ends
            time.sleep(0.02)


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
