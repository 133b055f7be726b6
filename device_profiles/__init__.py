"""The profiles that come along: kinds of devices as TOML, one file a kind, and what loads them."""

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from iotxmpp.errors import ConfigError
from iotxmpp.extending import Written, line_of
from iotxmpp.profiles import Profile, whole_profile
from iotxmpp.tables import parse_table, read_text

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

__all__ = ["files_of", "load", "load_file", "names", "text_of"]

_SUFFIX = ".toml"
_LONGEST = 64


def names() -> list[str]:
    """The names of the profiles that come along."""
    files = (entry.name for entry in _folder().iterdir())
    return sorted(name.removesuffix(_SUFFIX) for name in files if name.endswith(_SUFFIX))


def load(name: str) -> Profile:
    """The profile of that name.

    Raises:
        ConfigError: There is none; the text suggests one.
    """
    return whole_profile(_shipped(name))


def load_file(path: str | PathLike[str]) -> Profile:
    """The profile in a file; what it extends is a shipped one, or a `.toml` file named from its folder.

    Raises:
        ConfigError: It cannot be read, or is no profile.
    """
    return whole_profile(_written(Path(path)))


def files_of(path: str | PathLike[str]) -> list[Path]:
    """The files that the profile in a file is made of: its own, and those that it stands on in other files.

    Raises:
        ConfigError: One of them cannot be read.
    """
    keys = (Path(each.key) for each in line_of(_written(Path(path))))
    return [key for key in keys if key.is_absolute()]


def text_of(name: str) -> str:
    """The TOML of the shipped profile of that name.

    Raises:
        ConfigError: There is none.
    """
    known = names()
    if name not in known:
        import difflib  # noqa: PLC0415  # only whoever made a mistake pays for it

        close = difflib.get_close_matches(name[:_LONGEST], known)
        hint = f"did you mean {' or '.join(close)}?" if close else f"there is {', '.join(known)}"
        raise ConfigError(f"profile {name[:_LONGEST]!r}: not among those that come along: {hint}")
    return (_folder() / f"{name}{_SUFFIX}").read_text(encoding="utf-8")


def _shipped(name: str) -> Written:
    where = f"profile {name}"
    return Written(table=parse_table(text_of(name), where), where=where, key=where, parent=_shipped)


def _written(path: Path) -> Written:
    def parent(name: str) -> Written:
        if not name.endswith(_SUFFIX):
            return _shipped(name)
        return _written(path.parent / name)

    where = str(path)
    table = parse_table(read_text(path), where)
    folder = path.parent.absolute()
    return Written(table=table, where=where, key=str(path.resolve()), parent=parent, folder=folder)


def _folder() -> "Path | Traversable":
    folder = Path(__file__).parent
    if folder.is_dir():
        return folder
    from importlib import resources  # noqa: PLC0415  # in a zip file; 2 MB that a device need not spare

    return resources.files(__name__)
