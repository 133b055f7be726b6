"""The profiles that come along: kinds of devices as TOML, one file a kind, and what loads them."""

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from iotxmpp.errors import ConfigError
from iotxmpp.profiles import Profile, parse_profile

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

__all__ = ["load", "load_file", "names"]

_SUFFIX = ".toml"


def names() -> list[str]:
    """The names of the profiles that come along."""
    files = (entry.name for entry in _folder().iterdir())
    return sorted(name.removesuffix(_SUFFIX) for name in files if name.endswith(_SUFFIX))


def load(name: str) -> Profile:
    """The profile of that name.

    Raises:
        ConfigError: There is none; the text suggests one.
    """
    known = names()
    if name not in known:
        import difflib  # noqa: PLC0415  # only whoever made a mistake pays for it

        close = difflib.get_close_matches(name, known)
        hint = f"did you mean {' or '.join(close)}?" if close else f"there is {', '.join(known)}"
        raise ConfigError(f"profile {name!r}: not among those that come along: {hint}")
    text = (_folder() / f"{name}{_SUFFIX}").read_text(encoding="utf-8")
    return parse_profile(text, f"profile {name}")


def load_file(path: str | PathLike[str]) -> Profile:
    """The profile in a file.

    Raises:
        ConfigError: It cannot be read, or is no profile.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    return parse_profile(text, str(path))


def _folder() -> "Path | Traversable":
    folder = Path(__file__).parent
    if folder.is_dir():
        return folder
    from importlib import resources  # noqa: PLC0415  # in a zip file; 2 MB that a device need not spare

    return resources.files(__name__)
