"""What a measurement ran on."""

import os
import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("iotxmpp", "slixmpp", "pydantic", "SQLAlchemy", "prometheus-client")


def machine() -> str:
    """Processor, cores, memory and operating system."""
    cores = len(os.sched_getaffinity(0))
    return f"{_processor()}, {cores} cores, {_memory_gb():.0f} GB, {platform.system()}"


def software() -> str:
    """Python and the packages that matter."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"{platform.python_implementation()} {platform.python_version()}, {packages}"


def load() -> str:
    """How busy the machine is: the average number of runnable processes over the last minute."""
    return f"{os.getloadavg()[0]:.1f}"


def server_version(name: str) -> str:
    """The version of an installed server, where Debian's package manager knows it."""
    tool = shutil.which("dpkg-query")
    if tool is None:
        return ""
    command = [tool, "--show", "--showformat=${Version}", name]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip()


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model"):
            return " ".join(value.split())
    return platform.machine()


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
