"""The systemd unit of an agent: what it may do, and nothing else (systemd.exec(5))."""

import glob
import hashlib
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from iotxmpp.errors import ConfigError

WATCHDOG_SECONDS = 60
STEPS_SINCE = 254
"""The first systemd that lengthens the delay between starts by itself."""

_MARK = "# Written by `iotxmpp agent install`; sha256 of what follows: "
_RUNS = re.compile(
    r'^ExecStart=(?:(?:"(?:[^"\\]|\\.)*"|[^\s"]+) )+agent run'
    r' (?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^\s"]+))$',
    re.MULTILINE,
)
"""The line of `Unit.text` that starts the agent; its last word is the agent's file."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,200}")
_ALL_GROUPS = ("dialout", "gpio", "i2c", "spi")
_SHARED = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108  # what `PrivateTmp=` hides; nothing is written there
WRONG_CONFIG = 2
"""The exit code of `agent run` for a wrong file: only whoever mends the file helps, not another start."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hardware:
    """What of the machine a driver needs.

    Attributes:
        groups: The groups whose devices it opens.
        devices: These devices, as `DeviceAllow=` has them.
        modules: The kernel's modules that bring these devices: systemd passes over a kind of device that the
            kernel does not know yet when the service starts, as when no board was ever plugged in.
        known: Whether that is all; what a driver of somebody else needs, nobody can tell.
    """

    groups: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    known: bool = True


_SERIAL = Hardware(
    groups=("dialout",),
    devices=("char-ttyUSB rw", "char-ttyACM rw", "char-ttyAMA rw", "char-ttyS rw"),
    modules=("usbserial", "cdc_acm"),
)

_USB = "char-usb_device rw"
"""What dfu-util opens: a board that waits for firmware is no port."""

_DEVICES = Path("/dev")
_DEVICE_KIND = re.compile(r"(?!tty[\W\d])[A-Za-z]+(?=[\d*?[])")
"""What a port's name begins with; not `tty` and a number, which are the screen and the keyboard."""

_PATTERN = re.compile(r"[*?[]")
_USB_NAMES = "/dev/serial/by-"
"""Where udev names USB ports alone, which are usual ones."""

_PLAIN_PATH = re.compile(r"[\w@%+=:,./-]+", re.ASCII)

_NONE = Hardware()
_BY_KIND = {
    "simulated": _NONE,
    "host": _NONE,
    "onewire": _NONE,  # the kernel shows it as files that all may read
    "serial": _SERIAL,
    "modbus": _SERIAL,
    "gpio": Hardware(
        groups=("gpio", "spi"),
        devices=("char-gpiochip rw", "/dev/gpiomem rw", "char-spi rw"),
        modules=("spidev",),
    ),
    "i2c": Hardware(groups=("i2c",), devices=("char-i2c rw",), modules=("i2c_dev",)),
}


def hardware_of(kind: str, settings: Mapping[str, object]) -> Hardware:
    """What a driver needs of the machine.

    Args:
        kind: The driver's kind.
        settings: Its settings.
    """
    port = settings.get("port", "")
    remote = "host" in settings or "://" in str(port)
    if remote or settings.get("simulated") is True:
        return Hardware()
    hardware = _BY_KIND.get(kind, Hardware(groups=_ALL_GROUPS, known=False))
    if hardware is _SERIAL and isinstance(port, str):
        flash = settings.get("flash")
        usb = (_USB,) if isinstance(flash, Mapping) and flash.get("tool") == "dfu-util" else ()
        return replace(hardware, devices=tuple(dict.fromkeys((*hardware.devices, *_devices_of(port), *usb))))
    return hardware


def untold_port(kind: str, settings: Mapping[str, object]) -> str:
    """A driver's port of which cannot be told now what kind of device it is; empty where it can.

    It is a pattern that nothing fits now, and that may mean others than the usual ones.

    Args:
        kind: The driver's kind.
        settings: Its settings.
    """
    port = str(settings.get("port", ""))
    hardware = hardware_of(kind, settings)
    if not hardware.devices or not _PATTERN.search(port) or port.startswith(_USB_NAMES):
        return ""
    return "" if _DEVICE_KIND.match(Path(port).name) or _fitting(port) else port


def _fitting(port: str) -> list[str]:
    """The ports that fit a pattern now."""
    return sorted(glob.glob(port)) if port.startswith("/") and "\0" not in port else []  # noqa: PTH207  # a whole path


def _devices_of(port: str) -> list[str]:
    """A port, or a pattern of some, as `DeviceAllow=` has them; those that are usual aside."""
    if not port.startswith("/") or "\0" in port:
        return []
    found = _fitting(port) if _PATTERN.search(port) else []
    if not found:
        return _devices_at(port)
    return [device for each in found for device in _devices_at(each) if device.startswith("char-")]


def _devices_at(port: str) -> list[str]:
    """One port.

    By the name of its kind, for a port that is unplugged and comes back has another number; and by its path.
    """
    real = Path(os.path.realpath(port))
    name = _DEVICE_KIND.match(real.name)
    kinds = [f"char-{name[0]} rw"] if name and real.parent == _DEVICES else []
    if real.parent.parent == _DEVICES and real.parent.name == "pts":
        kinds = ["char-pts rw"]
    is_usual = not set(kinds).isdisjoint(_SERIAL.devices)
    is_path = not is_usual and port.startswith(f"{_DEVICES}/") and not _PATTERN.search(port)
    return [*kinds, *([f"{port.replace('%', '%%')} rw"] if is_path and _PLAIN_PATH.fullmatch(port) else [])]


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit:
    """The unit of one agent.

    Attributes:
        name: Its name, without `.service`.
        device: The device's id.
        config: The agent's file, as an absolute path.
        program: What runs it, before its arguments.
        scope: `system`, or `user` for one of a user's own manager.
        run_as: The user, for `system` alone; None for one that is made while it runs (`DynamicUser=`).
        hardware: What the driver needs.
        groups: The groups that this machine has: systemd refuses to start a service with another.
        credentials: Files that only root may need to read, by the name of the credential.
        writable: Folders outside its own state that it writes to.
        reads: Files that it reads as its user, besides `config` and the program itself.
        version: The version of systemd.
    """

    name: str
    device: str
    config: Path
    program: tuple[str, ...]
    scope: Literal["system", "user"] = "system"
    run_as: str | None = None
    hardware: Hardware = field(default_factory=Hardware)
    groups: Collection[str] = _ALL_GROUPS
    credentials: Mapping[str, Path] = field(default_factory=dict)
    writable: tuple[Path, ...] = ()
    reads: tuple[Path, ...] = ()
    version: int = 252

    def __post_init__(self) -> None:
        for name in (self.name, *self.credentials):
            check_name(name)

    @property
    def file_name(self) -> str:
        """The name of its file."""
        return f"{self.name}.service"

    @property
    def missing_groups(self) -> tuple[str, ...]:
        """The groups that the driver needs and this machine does not have; systemd refuses to name them."""
        if self.scope == "user" or not self.hardware.known:
            return ()
        return tuple(name for name in self.hardware.groups if name not in self.groups)

    @property
    def shared_tmp(self) -> Path | None:
        """What it needs of the folders that `PrivateTmp=` would hide; None for nothing."""
        needed = (self.config, Path(self.program[0]), *self.writable, *self.reads)
        return next((path for path in needed if any(map(path.is_relative_to, _SHARED))), None)

    def text(self) -> str:
        """The unit's file, with a first line by which a change of it is seen."""
        parts = [self._unit(), self._service(), self._safety()]
        wanted = "multi-user.target" if self.scope == "system" else "default.target"
        body = "\n".join((*parts, f"[Install]\nWantedBy={wanted}\n"))
        return f"{_MARK}{_digest(body)}\n{body}"

    def _unit(self) -> str:
        after = "After=network.target\n" if self.scope == "system" else ""
        modules = " ".join(f"modprobe@{name}.service" for name in self.hardware.modules)
        if self.scope == "system" and modules:
            after = (
                "# DeviceAllow passes over a kind of device that the kernel does not know when this starts.\n"
                f"Wants={modules}\nAfter=network.target {modules}\n"
            )
        return (
            f"[Unit]\nDescription=iotxmpp agent of {_plain(self.device)}\n{after}"
            "# However often it fails, it is started again: a device stands where nobody is. But for a file\n"
            "# that is wrong: see RestartPreventExitStatus.\n"
            "StartLimitIntervalSec=0\n"
        )

    def _service(self) -> str:
        words = (*self.program, "agent", "run", str(self.config))
        lines = [
            "[Service]",
            "# READY=1 comes when sampling has begun; no sign of life for WatchdogSec means that it hangs.",
            "Type=notify",
            "NotifyAccess=main",
            f"ExecStart={' '.join(quoted(word) for word in words)}",
            f"WorkingDirectory={_plain(str(self.config.parent))}",
            f"WatchdogSec={WATCHDOG_SECONDS}",
            "TimeoutStartSec=60",
            "TimeoutStopSec=20",
            "Restart=always",
            "RestartSec=5",
            f"RestartPreventExitStatus={WRONG_CONFIG}",
        ]
        if self.version >= STEPS_SINCE:
            lines += ["RestartSteps=6", "RestartMaxDelaySec=300"]
        state = f"iotxmpp/{self.name}"
        lines += [
            "# The outbox, the journal and the audit log.",
            f"StateDirectory={state}",
            "StateDirectoryMode=0700",
            f"Environment=IOTXMPP_STATE=%S/{state} LG_WD=%S/{state} PYTHONUNBUFFERED=1",
        ]
        lines += [
            f"LoadCredential={name}:{_plain(str(path))}" for name, path in sorted(self.credentials.items())
        ]
        return "\n".join(lines) + "\n"

    def _safety(self) -> str:
        lines = ["NoNewPrivileges=yes", "UMask=0077", "LockPersonality=yes", "RestrictRealtime=yes"]
        lines += ["RestrictSUIDSGID=yes", "SystemCallArchitectures=native", "SystemCallErrorNumber=EPERM"]
        # The clock is read by adjtimex(2), which also could set it, if it had the right to: it has none.
        lines += ["SystemCallFilter=@system-service", "SystemCallFilter=adjtimex clock_adjtime"]
        lines += ["RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK"]
        if self.hardware.known:
            lines.append("MemoryDenyWriteExecute=yes")
        if self.scope == "system":
            lines += [*self._user(), *self._system(), *self._devices()]
        return "\n".join(lines) + "\n"

    def _user(self) -> list[str]:
        who = [f"User={_plain(self.run_as)}"] if self.run_as else ["DynamicUser=yes"]
        groups = [name for name in self.hardware.groups if name in self.groups]
        lines = [*who, *([f"SupplementaryGroups={' '.join(groups)}"] if groups else [])]
        if self.missing_groups:
            lines += [
                f"# Left out, for this machine has no such group: {' '.join(self.missing_groups)}.",
                "# For a machine that has it, give --groups.",
            ]
        return lines

    def _system(self) -> list[str]:
        on = [] if self.shared_tmp else ["PrivateTmp"]
        on += ["ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs"]
        on += ["ProtectControlGroups", "ProtectHostname", "RestrictNamespaces", "RemoveIPC"]
        lines = ["ProtectSystem=strict", "ProtectHome=read-only", "ProtectProc=invisible"]
        if self.shared_tmp:
            lines.append(f"# No PrivateTmp: it would hide {_plain(str(self.shared_tmp))}.")
        lines += [f"{name}=yes" for name in on]
        lines += ["CapabilityBoundingSet=", "AmbientCapabilities="]
        if self.writable:
            lines.append(f"ReadWritePaths={' '.join(quoted(str(path)) for path in self.writable)}")
        return lines

    def _devices(self) -> list[str]:
        if not self.hardware.known:
            return []
        if not self.hardware.devices:
            return ["PrivateDevices=yes"]
        return ["DevicePolicy=closed", *(f"DeviceAllow={each}" for each in self.hardware.devices)]


def check_name(name: str) -> str:
    """A name of a unit or a credential.

    Raises:
        ConfigError: systemd would not take it.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r}: systemd takes names of a-z, A-Z, 0-9, _, . and - alone; choose another")
    return name


def config_of(text: str) -> Path | None:
    """The agent's file that a unit of `Unit.text` runs, changed or not; None for any other unit."""
    found = _RUNS.search(text) if text.startswith(_MARK) else None
    if found is None:
        return None
    word = re.sub(r"\\(.)", r"\1", found["quoted"]) if found["quoted"] is not None else found["plain"]
    return Path(word.replace("$$", "$").replace("%%", "%"))


def is_changed(text: str) -> bool:
    """Whether a unit's file is not, or not any more, as `Unit.text` wrote it."""
    first, _, body = text.partition("\n")
    return first != f"{_MARK}{_digest(body)}"


def quoted(word: str) -> str:
    """A word as `ExecStart=` and lists take it, whatever it holds."""
    text = _plain(word).replace("$", "$$")
    if re.fullmatch(r"[\w@%+=:,./$-]+", text, re.ASCII):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _plain(text: str) -> str:
    """Text without specifiers; it may not hold a line's end."""
    if any(ord(each) < ord(" ") for each in text):
        raise ConfigError(f"{text!r} holds a control character, which a unit cannot name; rename it")
    return text.replace("%", "%%")


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()
