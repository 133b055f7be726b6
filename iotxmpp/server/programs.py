"""Where the servers' programs are on this machine, and how to get them."""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from iotxmpp.server.spec import ServerKind

_SYSTEM_FOLDERS = ("/usr/local/bin", "/usr/bin", "/usr/local/sbin", "/usr/sbin")
_ERL_LIBS = re.compile(r"^\s*(?:export\s+)?ERL_LIBS=['\"]?(/[^'\"\s]+)", re.MULTILINE)
_LIBRARY_PATTERNS = ("usr/lib/*/ejabberd-*/ebin", "usr/lib/ejabberd-*/ebin", "usr/local/lib/ejabberd-*/ebin")


@dataclass(frozen=True, kw_only=True, slots=True)
class Programs:
    """A server's program.

    Attributes:
        executable: `prosody`, or Erlang's `erl`.
        ebin: ejabberd's compiled modules; None for Prosody.
    """

    executable: Path
    ebin: Path | None = None


def find(kind: ServerKind) -> Programs | None:
    """The program of a server; None where it is not installed."""
    if kind is ServerKind.PROSODY:
        prosody = _which("prosody")
        return Programs(executable=prosody) if prosody else None
    erl, ebin = _which("erl"), _ejabberd_modules()
    return Programs(executable=erl, ebin=ebin) if erl and ebin else None


def installed(kind: ServerKind) -> bool:
    """Whether the server can be started on this machine."""
    return find(kind) is not None


def install_hint(kind: ServerKind) -> str:
    """What to do to install the server."""
    kind = ServerKind(kind)
    return (
        f"{kind} is not installed; on Debian, Ubuntu or Raspberry Pi OS run as root: "
        f"apt-get install --no-install-recommends {kind} "
        f"(its own service is not needed: systemctl disable --now {kind})"
    )


def _which(name: str) -> Path | None:
    # The PATH of an ordinary user on Debian has no sbin.
    folders = [*filter(None, os.environ.get("PATH", "").split(os.pathsep)), *_SYSTEM_FOLDERS]
    found = shutil.which(name, path=os.pathsep.join(folders))
    return Path(found).absolute() if found else None


def _ejabberd_modules(root: Path = Path("/")) -> Path | None:
    """The newest folder with ejabberd's modules: where `ejabberdctl` looks, else in the usual places."""
    control = _which("ejabberdctl")
    folders: list[Path] = []
    if control is not None:
        match = _ERL_LIBS.search(control.read_text(encoding="utf-8", errors="replace"))
        folders = list(Path(match[1]).glob("ejabberd-*/ebin")) if match else []
    for pattern in () if folders else _LIBRARY_PATTERNS:
        folders += root.glob(pattern)
    usable = [folder for folder in folders if (folder / "ejabberd.app").is_file()]
    return max(usable, key=lambda folder: _version(folder.parent.name), default=None)


def _version(name: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", name)]
