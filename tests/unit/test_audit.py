"""The audit log: nothing is lost by a crash, and nothing is changed unseen."""

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iotxmpp.errors import StoreError
from iotxmpp.serving.audit import AuditEntry, AuditLog
from iotxmpp.serving.auditchain import head_path, line_of, rotated_files
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


def tampered(path: Path) -> list[str]:
    return [each["text"] for each in entries(path) if each["result"] == "tampered"]


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


def forged_after(line: bytes) -> bytes:
    before = json.loads(line)
    return line_of(before["n"] + 1, before["hash"], {"who": "eve@example.org", "result": "done"})[0]


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
    "a line is longer than any by what stands before it": lambda all_: [
        *all_[:3],
        b"X" * 65_536 + all_[3],
        *all_[4:],
    ],
    "what stands before the last line is long": lambda all_: [*all_[:5], b"X" * 131_072 + all_[5]],
    "a line is forged at the end": lambda all_: [*all_, forged_after(all_[-1])],
    "two lines are forged at the end": lambda all_: [
        *all_,
        forged_after(all_[-1]),
        forged_after(forged_after(all_[-1])),
    ],
    "what is no line is added at the end": lambda all_: [*all_, b"nothing\n"],
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
    assert tampered(path) == ["lines before this one were removed, added or changed while the log was closed"]


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
    assert tampered(path) == ["the head file was missing or damaged; lines may be missing before this one"]


@pytest.mark.parametrize("text", [None, "", "{"])
def test_lines_that_were_cut_with_the_head_file_stay_a_fault_for_good(
    tmp_path: Path, text: str | None
) -> None:
    path = tmp_path / "audit.log"
    write(path, range(20))
    path.write_bytes(b"".join(lines(path)[:10]))
    if text is None:
        head_path(path).unlink()
    else:
        head_path(path).write_text(text)
    for number in range(3):
        write(path, [number])
        verdict = verify(path)
        assert (verdict.ok, verdict.last) == (False, 10)
        assert "line 11 says: the head file was missing or damaged" in verdict.first_fault
    assert len(tampered(path)) == 1
    write(path, range(60), most_bytes=1500, most_files=2)  # the line that says so is dropped
    assert (tampered(path), verify(path).first_fault) == (
        [],
        "line 11 said that the log was tampered with",
    )


def test_all_lines_and_the_head_file_removed_stay_a_fault_for_good(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    write(path, range(3))
    path.write_bytes(b"")
    head_path(path).unlink()
    assert not verify(path).ok
    write(path, [3])
    assert "line 1 says" in verify(path).first_fault


def test_a_line_without_an_end_is_skipped_in_the_newest_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    write(path, range(10), most_bytes=1500, most_files=9)
    older = rotated_files(path)[0]
    text = older.read_bytes()
    for junk in (b"junk", b"X" * 65_536, forged_after(lines(older)[-1]).rstrip(b"\n")):
        older.write_bytes(text + junk)
        assert f"{older.name}, line" in verify(path).first_fault
        assert [each["n"] for each in entries(path)] == list(range(1, 11))  # nor is it shown
    older.write_bytes(text.rstrip(b"\n"))
    assert f"{older.name}, line" in verify(path).first_fault
    older.write_bytes(text)
    assert verify(path).ok


def test_a_forged_line_without_an_end_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    write(path, range(3))
    with path.open("ab") as file:
        file.write(forged_after(lines(path)[-1]).rstrip(b"\n"))
    assert [each["n"] for each in entries(path)] == [1, 2, 3]
    assert verify(path).ok
    write(path, [3])
    assert (len(notes(path)), tampered(path), verify(path).ok) == (1, [], True)


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
