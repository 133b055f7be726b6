"""What the doctor finds on machines that are trees of files."""

import os
import pty
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from iotxmpp.doctor.buses import check_groups, check_i2c, check_onewire
from iotxmpp.doctor.extras import check_extras
from iotxmpp.doctor.finding import Finding, ok
from iotxmpp.doctor.pins import ask_factories, check_pins
from iotxmpp.doctor.places import Places
from iotxmpp.doctor.plan import _ids, _root
from iotxmpp.doctor.ports import serial_ports
from iotxmpp.doctor.serial import (
    check_holders,
    check_port_rights,
    check_ports,
    check_reset,
    check_thieves,
)

GOOD_ANSWER = "58 01 4b 46 7f ff 08 10 d8 : crc=d8 YES\n58 01 4b 46 7f ff 08 10 d8 t=21500\n"


def write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def link(path: Path, goal: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(goal)


def plug(root: Path, name: str, usb: str, *, socket: str, by_id: str = "") -> Path:
    """A board on a USB cable."""
    port = write(root / "dev" / name)
    device = root / "sys/devices/usb1" / socket
    vendor, _, product = usb.partition(":")
    write(device / "idVendor", f"{vendor}\n")
    write(device / "idProduct", f"{product}\n")
    interface = device / f"{socket}:1.0" / name
    interface.mkdir(parents=True)
    driver = "cdc_acm" if name.startswith("ttyACM") else "ch341"
    (root / "sys/drivers" / driver).mkdir(parents=True, exist_ok=True)
    link(interface / "driver", root / "sys/drivers" / driver)
    link(root / "sys/class/tty" / name / "device", interface)
    link(root / "dev/serial/by-path" / f"usb-{socket}", port)
    if by_id:
        link(root / "dev/serial/by-id" / by_id, port)
    return port


def pi(root: Path, config: str = "") -> Places:
    write(root / "proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\0")
    write(root / "boot/firmware/config.txt", config)
    return Places.under(root)


def only(findings: list[Finding]) -> Finding:
    (found,) = findings
    return found


def test_a_port_is_told_with_its_chip_its_board_and_the_name_that_stays(tmp_path: Path) -> None:
    plug(tmp_path, "ttyUSB0", "1a86:7523", socket="1-1.2", by_id="usb-1a86_USB_Serial-if00-port0")
    plug(tmp_path, "ttyACM0", "2341:0043", socket="1-1.3", by_id="usb-Arduino-if00")
    uno, nano = serial_ports(Places.under(tmp_path))
    assert (nano.chip, nano.usb, nano.driver) == ("CH340", "1a86:7523", "ch341")
    assert (uno.board, uno.driver) == ("Arduino Uno", "cdc_acm")
    assert uno.by_path is not None
    assert uno.by_path.name == "usb-1-1.3"
    texts = [finding.what for finding in check_ports(Places.under(tmp_path), needed=True)]
    assert any("CH340 (1a86:7523)" in text and "Nano" in text for text in texts)
    assert {finding.level for finding in check_ports(Places.under(tmp_path), needed=True)} == {"ok"}


def test_two_chips_with_one_name_are_told_apart_by_their_sockets(tmp_path: Path) -> None:
    plug(tmp_path, "ttyUSB0", "1a86:7523", socket="1-1.2", by_id="usb-1a86")
    plug(tmp_path, "ttyUSB1", "1a86:7523", socket="1-1.4")
    found = check_ports(Places.under(tmp_path), needed=True)
    (twin,) = (each for each in found if each.level == "advice")
    assert "ttyUSB1" in twin.what
    assert twin.fix == (f'port = "{tmp_path}/dev/serial/by-path/usb-1-1.4"',)


def test_no_port_is_a_fault_for_a_device_that_needs_one_alone(tmp_path: Path) -> None:
    places = Places.under(tmp_path)
    assert only(check_ports(places, needed=True)).level == "fault"
    assert only(check_ports(places, needed=False)).level == "ok"


def test_the_port_of_the_agents_file_is_looked_for(tmp_path: Path) -> None:
    plug(tmp_path, "ttyUSB0", "10c4:ea60", socket="1-1")
    found = check_ports(Places.under(tmp_path), needed=True, wanted="/dev/ttyUSB97")
    (missing,) = (each for each in found if each.level == "fault")
    assert "/dev/ttyUSB97" in missing.what
    assert "by-path/usb-1-1" in missing.why
    for wanted in (f"{tmp_path}/dev/ttyUSB*", f"{tmp_path}/dev/ttyUSB0", "socket://10.0.0.7:7000"):
        assert only(check_ports(Places.under(tmp_path), needed=True, wanted=wanted)).level == "ok"


def test_a_port_without_its_folder_is_told_with_the_path_that_was_meant(tmp_path: Path) -> None:
    plug(tmp_path, "ttyUSB0", "10c4:ea60", socket="1-1")
    link(tmp_path / "dev/weather", tmp_path / "dev/ttyUSB0")
    places = Places.under(tmp_path)
    meant = {"ttyUSB0": "/dev/ttyUSB0", "dev/ttyUSB*": "/dev/ttyUSB*", "weather": "/dev/weather"}
    for wanted, path in meant.items():
        (wrong,) = (each for each in check_ports(places, needed=True, wanted=wanted) if each.level == "fault")
        assert wrong.what == f"port {wanted} of the agent's file is no path"
        assert (wrong.why, wrong.fix) == (f"did you mean {path}?", (f'port = "{path}"',))
    (wrong,) = (each for each in check_ports(places, needed=True, wanted="COM3") if each.level == "fault")
    assert (wrong.why, wrong.fix) == (f"there are: {tmp_path}/dev/serial/by-path/usb-1-1", ())


def test_a_closed_port_is_told_with_the_command_that_opens_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = plug(tmp_path, "ttyUSB0", "1a86:7523", socket="1-1")
    port.chmod(0o660)
    write(tmp_path / "etc/group", f"wheel:x:99999:\ndialout:x:{port.stat().st_gid}:\n")
    places = Places.under(tmp_path)
    assert only(check_port_rights(places, needed=True)).level == "ok"
    monkeypatch.setattr(os, "access", lambda *_: False)
    found = only(check_port_rights(places, needed=True))
    assert (found.level, found.fix) == ("fault", ("sudo usermod -aG dialout $USER", "log out and in again"))
    assert only(check_port_rights(places, needed=False)).level == "advice"


@pytest.fixture
def terminal() -> Iterator[str]:
    """A port of a kind that is none of the usual ones; this process has both of its ends."""
    far, near = pty.openpty()
    yield os.ttyname(near)
    for each in (far, near):
        os.close(each)


def test_the_port_of_the_agents_file_may_be_of_any_kind(tmp_path: Path, terminal: str) -> None:
    places = Places.under(tmp_path)
    (tmp_path / "board").symlink_to(terminal)
    for wanted in (terminal, str(tmp_path / "board"), f"{tmp_path}/boar?"):
        assert only(check_ports(places, needed=True, wanted=wanted)).level == "ok"
        assert only(check_port_rights(places, needed=True, wanted=wanted)).what.endswith("may be opened")
    for wanted in ("/dev/null", str(tmp_path)):  # /dev/null is none by the kernel
        told = check_ports(Places(dev=tmp_path), needed=True, wanted=wanted)
        assert f"port {wanted} of the agent's file is no serial port" in {each.what for each in told}
    assert not [port for port in serial_ports(Places(dev=tmp_path), "/dev/tty*") if port.path.name == "tty"]


def test_a_port_of_any_kind_that_is_closed_is_told_with_the_login_that_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = plug(tmp_path, "ttyAMA0", "", socket="1-1")
    port.chmod(0o600)
    plug(tmp_path, "ttyUSB0", "1a86:7523", socket="1-2")
    monkeypatch.setattr(os, "access", lambda *_: False)
    ours, other = check_port_rights(Places.under(tmp_path), needed=True, wanted=str(port))
    assert (ours.level, other.level) == ("fault", "advice")
    assert "its mode lets no group" in ours.why
    assert ours.fix == (f"ls -lL {port}", "sudo systemctl disable --now serial-getty@ttyAMA0")


def test_who_holds_the_port_of_the_agents_file_is_told_and_not_its_board(
    tmp_path: Path, terminal: str
) -> None:
    places = Places.under(tmp_path)
    link(tmp_path / "proc/4711/fd/5", Path(terminal))
    found = only(check_holders(places, wanted=terminal))
    assert f"{terminal} is held by a program (process 4711)" in found.what
    assert only(check_holders(Places(dev=tmp_path), wanted=terminal, own=0)).level == "ok"


def test_who_holds_a_port_is_named_once(tmp_path: Path) -> None:
    port = plug(tmp_path, "ttyUSB0", "1a86:7523", socket="1-1")
    write(tmp_path / "proc/4711/comm", "minicom\n")
    for number in ("5", "6"):
        link(tmp_path / "proc/4711/fd" / number, port)
    write(tmp_path / "proc/4712/comm", "other\n")
    link(tmp_path / "proc/4712/fd/0", tmp_path / "dev/null")
    found = only(check_holders(Places.under(tmp_path)))
    assert "minicom (process 4711)" in found.what
    assert found.fix == ("ps -fp 4711",)
    assert only(check_holders(Places.under(tmp_path), own=4711)).level == "ok"


def test_a_real_process_that_holds_a_file_is_found(tmp_path: Path) -> None:
    port = plug(tmp_path, "ttyUSB0", "1a86:7523", socket="1-1")
    places = Places(dev=tmp_path / "dev", sys=tmp_path / "sys")
    with port.open():
        found = check_holders(places, own=0)
    assert any(f"process {os.getpid()}" in each.what for each in found)
    assert only(check_holders(places, own=0)).level == "ok"


def test_brltty_and_modemmanager_are_thieves(tmp_path: Path) -> None:
    places = Places.under(tmp_path)
    assert only(check_thieves(places, needed=True)).level == "ok"
    write(tmp_path / "usr/lib/udev/rules.d/85-brltty.rules", 'ATTRS{idVendor}=="1a86"')
    write(tmp_path / "proc/77/comm", "ModemManager\n")
    brltty, manager = check_thieves(places, needed=True)
    assert (brltty.level, brltty.fix[0]) == ("fault", "sudo apt remove brltty")
    assert (manager.level, manager.fix) == ("fault", ("sudo systemctl disable --now ModemManager",))
    assert {each.level for each in check_thieves(places, needed=False)} == {"advice"}


def test_a_rule_that_was_switched_off_steals_nothing(tmp_path: Path) -> None:
    link(tmp_path / "etc/udev/rules.d/85-brltty.rules", Path("/dev/null"))
    write(tmp_path / "usr/lib/udev/rules.d/90-brltty-device.rules", "")
    assert only(check_thieves(Places.under(tmp_path), needed=True)).level == "ok"


def test_a_board_that_resets_is_explained(tmp_path: Path) -> None:
    plug(tmp_path, "ttyUSB0", "1a86:7523", socket="1-1")
    found = only(check_reset(Places.under(tmp_path)))
    assert found.fix == (f"stty -F {tmp_path}/dev/serial/by-path/usb-1-1 -hupcl",)
    assert "reset_wait" in found.why


def test_i2c_that_is_not_switched_on_names_the_line_and_the_file(tmp_path: Path) -> None:
    places = pi(tmp_path, "# dtparam=i2c_arm=on\ndtparam=audio=on\n")
    found = only(check_i2c(places, needed=True))
    assert found.level == "fault"
    assert found.fix[0] == f"echo dtparam=i2c_arm=on | sudo tee -a {tmp_path}/boot/firmware/config.txt"
    assert only(check_i2c(places, needed=False)).level == "advice"


def test_i2c_knows_the_older_place_of_the_file(tmp_path: Path) -> None:
    write(tmp_path / "proc/device-tree/model", "Raspberry Pi 3\0")
    write(tmp_path / "boot/config.txt", "")
    assert str(tmp_path / "boot/config.txt") in only(check_i2c(Places.under(tmp_path), needed=True)).why


def test_i2c_without_its_module_says_so(tmp_path: Path) -> None:
    places = pi(tmp_path, "dtparam=i2c_arm=on # for the BME280\n")
    assert only(check_i2c(places, needed=True)).fix[0] == "sudo modprobe i2c-dev"
    (tmp_path / "sys/module/i2c_dev").mkdir(parents=True)
    assert only(check_i2c(places, needed=True)).fix == ("sudo reboot",)


def test_i2c_buses_are_told_and_the_wanted_one_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "dev/i2c-1")
    places = pi(tmp_path)
    assert only(check_i2c(places, needed=True)).level == "ok"
    assert only(check_i2c(places, needed=True, bus=3)).level == "fault"
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert only(check_i2c(places, needed=True)).fix[0] == "sudo usermod -aG i2c $USER"


def test_a_machine_without_buses_needs_none(tmp_path: Path) -> None:
    places = Places.under(tmp_path)
    assert only(check_i2c(places, needed=False)).level == "ok"
    assert only(check_onewire(places, needed=False)).level == "ok"


def test_one_wire_goes_from_off_to_a_sensor(tmp_path: Path) -> None:
    places = pi(tmp_path)
    off = only(check_onewire(places, needed=True))
    assert (off.level, off.fix[0]) == (
        "fault",
        f"echo dtoverlay=w1-gpio | sudo tee -a {tmp_path}/boot/firmware/config.txt",
    )
    write(tmp_path / "boot/firmware/config.txt", "dtoverlay=w1-gpio,gpiopin=4\n")
    assert only(check_onewire(places, needed=True)).fix == ("sudo reboot",)
    root = tmp_path / "sys/bus/w1/devices"
    (root / "w1_bus_master1").mkdir(parents=True)
    (root / "00-400000000000").mkdir()  # what noise on the line looks like
    assert "pull-up" in only(check_onewire(places, needed=True)).why
    write(root / "28-000005e2fdc3/w1_slave", GOOD_ANSWER)
    assert only(check_onewire(places, needed=True)) == ok("1-Wire: 28-000005e2fdc3 shows 21.5 Cel")
    assert only(check_onewire(places, needed=True, wanted=("28-1",))).level == "fault"
    assert only(check_onewire(places, needed=False)).what == "1-Wire: 28-000005e2fdc3"


def test_a_thermometer_that_is_there_and_does_not_answer_is_a_fault(tmp_path: Path) -> None:
    root = tmp_path / "sys/bus/w1/devices"
    write(root / "28-000005e2fdc3/w1_slave", GOOD_ANSWER.replace("YES", "NO"))
    places = Places.under(tmp_path)
    damaged = only(check_onewire(places, needed=True))
    assert damaged.level == "fault"
    assert damaged.what.startswith("1-Wire: 28-000005e2fdc3: a damaged answer")
    assert damaged.fix == (f"cat {root}/28-000005e2fdc3/w1_slave",)
    (root / "28-000005e2fdc4").mkdir()  # and another whose file is gone
    both = ["28-000005e2fdc3", "28-000005e2fdc4"]
    assert [each.level for each in check_onewire(places, needed=True, wanted=both)] == ["fault", "fault"]


def test_two_thermometers_and_no_id_are_a_fault_with_the_line_to_write(tmp_path: Path) -> None:
    root = tmp_path / "sys/bus/w1/devices"
    for name in ("28-000005e2fdc3", "28-000005e2fdc4"):
        write(root / name / "w1_slave", GOOD_ANSWER)
    places = Places.under(tmp_path)
    which = only(check_onewire(places, needed=True))
    assert (which.level, which.fix) == ("fault", ('id = "28-000005e2fdc3"',))
    assert "28-000005e2fdc4" in which.why
    assert only(check_onewire(places, needed=True, wanted=["28-000005e2fdc4"])).level == "ok"
    assert only(check_onewire(places, needed=False)).level == "ok"


def test_what_is_no_thermometer_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "sys/bus/w1/devices/26-000005e2fdc3").mkdir(parents=True)
    found = only(check_onewire(Places.under(tmp_path), needed=True))
    assert (found.level, found.what) == ("fault", "no 1-Wire thermometer is there")


def test_a_missing_group_is_told_if_the_driver_needs_it(tmp_path: Path) -> None:
    write(tmp_path / "etc/group", "i2c:x:998:pi\ngpio:x:997:\nbroken\n")
    places = Places.under(tmp_path)
    found = only(check_groups(places, needed=("i2c",), mine=(997,)))
    assert (found.level, found.fix[0]) == ("fault", "sudo usermod -aG i2c $USER")
    assert only(check_groups(places, needed=("i2c",), mine=(998,))).level == "ok"
    assert only(check_groups(places, needed=("spi",), mine=())).level == "ok"


NO_LGPIO = {"lgpio": "ModuleNotFoundError: No module named 'lgpio'", "native": "PinUnknownPi: none"}


@pytest.mark.parametrize(
    ("version", "machine", "fix"),
    [
        ((3, 13), "aarch64", "sudo apt install python3-lgpio"),
        ((3, 12), "aarch64", "pip install lgpio"),
        ((3, 11), "aarch64", "pip install lgpio"),
        ((3, 11), "armv7l", "sudo apt install python3-lgpio"),
    ],
)
def test_a_missing_lgpio_is_had_from_where_it_is(version: tuple[int, int], machine: str, fix: str) -> None:
    found = only(check_pins(needed=True, ask=lambda: NO_LGPIO, version=version, machine=machine))
    assert (found.level, found.fix[0]) == ("fault", fix)
    assert "simulated = true" in found.why


def test_pins_that_work_or_are_not_needed_are_well() -> None:
    works = only(check_pins(needed=True, ask=lambda: {"lgpio": "", "native": "OSError: no"}))
    assert works.what == "GPIO: the pin factory lgpio works"
    assert only(check_pins(needed=False, ask=lambda: NO_LGPIO)).level == "ok"
    closed = only(check_pins(needed=True, ask=lambda: {"lgpio": "error: can not open gpiochip"}))
    assert closed.fix[0] == "sudo usermod -aG gpio $USER"
    elsewhere = {
        "lgpio": "ModuleNotFoundError: No module",
        "native": "PinError: unable to locate Pi revision",
    }
    no_pi = only(check_pins(needed=True, ask=lambda: elsewhere))
    assert no_pi.fix[-1] == "simulated = true"
    assert not [line for line in no_pi.fix if "usermod" in line]
    missing = only(check_pins(needed=True, ask=lambda: {"gpiozero": "ModuleNotFoundError: no"}))
    assert missing.fix == ("pip install 'iotxmpp[pi]'",)


def test_the_factories_are_really_tried_and_in_another_process() -> None:
    before = {name for name in sys.modules if name.startswith("gpiozero")}
    found = ask_factories()
    assert found.keys() in ({"lgpio", "rpigpio", "pigpio", "native"}, {"gpiozero"})
    assert {name for name in sys.modules if name.startswith("gpiozero")} == before


def test_a_missing_library_names_its_extra() -> None:
    def none(_: str) -> bool:
        return False

    found = only(check_extras("modbus", simulated=False, there=none))
    assert (found.level, found.fix) == ("fault", ("pip install 'iotxmpp[modbus]'",))
    assert only(check_extras("i2c", simulated=True, there=none)).level == "ok"
    assert only(check_extras("lora", simulated=False, registered=none)).level == "fault"
    assert only(check_extras("lora", simulated=False, registered=lambda _: True)).level == "ok"
    assert only(check_extras("serial", simulated=False, there=lambda name: name == "serial")).level == "ok"


def test_the_settings_of_onewire_say_where_the_bus_is(tmp_path: Path) -> None:
    places, root = Places.under(tmp_path), tmp_path / "elsewhere"
    assert str(root) in only(check_onewire(places, needed=True, root=root)).what
    write(root / "28-000005e2fdc3/w1_slave", GOOD_ANSWER)
    assert only(check_onewire(places, needed=True, root=root, wanted=["28-000005E2FDC3"])).level == "ok"
    assert _ids({"id": {"a": "28-1", "b": "28-2"}}, {}) == ["28-1", "28-2"]
    assert (_ids({"id": ["28-1"]}, {}), _ids({}, {}), _root({"root": "/x"})) == (["28-1"], [], Path("/x"))
    sources = {"a": {"id": "28-3"}, "b": {"id": "28-4"}}
    assert _ids({}, sources) == ["28-3", "28-4"]
    assert _ids({"id": {"b": "28-2"}}, sources) == ["28-3", "28-2"]
    assert _ids({"id": "28-1"}, {"a": {}}) == ["28-1"]
