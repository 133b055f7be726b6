"""What the kernel shows as files: serial ports, and who holds one."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from iotxmpp.kernelfiles import held_by, is_serial, text_of

DEVICES = Path("/sys/dev/char")


@pytest.fixture
def terminal() -> Iterator[Path]:
    far, near = os.openpty()
    yield Path(os.ttyname(near))
    for each in (far, near):
        os.close(each)


def test_a_port_is_told_from_other_devices_by_the_kernel(tmp_path: Path, terminal: Path) -> None:
    assert is_serial(terminal, DEVICES)
    assert not is_serial(tmp_path, DEVICES)
    found = terminal.stat().st_rdev
    device = tmp_path / f"{os.major(found)}:{os.minor(found)}"
    device.mkdir()
    for kind, is_port in (("tty", True), ("input", False)):
        (device / "subsystem").symlink_to(f"../../class/{kind}")
        assert is_serial(str(terminal), tmp_path) is is_port
        (device / "subsystem").unlink()


@pytest.mark.parametrize(("path", "error"), [("/dev/none", FileNotFoundError), ("a\0b", ValueError)])
def test_what_is_not_there_is_for_the_caller_to_judge(path: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        is_serial(path, DEVICES)


def test_a_program_holds_what_it_has_open_but_not_as_the_board(tmp_path: Path) -> None:
    ports = [Path("/dev/ttyUSB0"), Path("/dev/pts/7"), Path("/dev/pts/8")]
    (tmp_path / "fd").mkdir()
    (tmp_path / "fdinfo").mkdir()
    for number, goal in enumerate((*ports, ports[0], Path("/dev/ptmx"), Path("pipe:[1]"))):
        (tmp_path / "fd" / str(number)).symlink_to(goal)
    (tmp_path / "fdinfo/4").write_text("pos:\t0\ntty-index:\t7\n")
    assert held_by(tmp_path, ports) == {ports[0], ports[2]}
    assert held_by(tmp_path, ports[1:2]) == set()
    assert held_by(tmp_path / "over", ports) == set()


def test_a_small_file_that_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b" Pi \xff\0")
    assert text_of(tmp_path / "model") == "Pi \ufffd"
    assert text_of(tmp_path / "none") == ""
    assert text_of(tmp_path) == ""
