"""Where the checks look; a test builds trees of its own."""

from dataclasses import dataclass
from pathlib import Path

from iotxmpp.kernelfiles import text_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """The roots of a machine.

    Attributes:
        sys: Where sysfs is.
        dev: The devices.
        etc: The configuration.
        proc: What runs.
        boot: The folder of `config.txt` and `firmware/config.txt`.
        run: What this run of the system keeps.
        lib: Where packages put udev's rules.
    """

    sys: Path = Path("/sys")
    dev: Path = Path("/dev")
    etc: Path = Path("/etc")
    proc: Path = Path("/proc")
    boot: Path = Path("/boot")
    run: Path = Path("/run")
    lib: Path = Path("/usr/lib")

    @classmethod
    def under(cls, root: Path) -> "Places":
        """The same places below another root."""
        names = ("sys", "dev", "etc", "proc", "boot", "run")
        return cls(**{name: root / name for name in names}, lib=root / "usr/lib")


def entries(folder: Path, pattern: str = "*") -> list[Path]:
    """What a folder holds, in order; nothing where it cannot be read."""
    try:
        return sorted(folder.glob(pattern))
    except OSError:
        return []


def is_pi(places: Places) -> bool:
    """Whether the machine is a Raspberry Pi."""
    return "raspberry pi" in text_of(places.proc / "device-tree/model").lower()


def boot_config(places: Places) -> Path:
    """The Pi's `config.txt`: since Debian 12 it is in `/boot/firmware`."""
    new = places.boot / "firmware/config.txt"
    return new if new.exists() else places.boot / "config.txt"


def boot_lines(places: Places) -> list[str]:
    """Its settings, without comments and blanks."""
    lines = text_of(boot_config(places)).splitlines()
    plain = (line.partition("#")[0].strip().replace(" ", "") for line in lines)
    return [line for line in plain if line]


def processes(places: Places) -> dict[int, str]:
    """The names of the programs that run, by process id."""
    return {
        int(folder.name): text_of(folder / "comm")
        for folder in entries(places.proc, "[0-9]*")
        if folder.name.isdigit()
    }
