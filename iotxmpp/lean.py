"""Loads a device's modules without `importlib.metadata`: with all that it takes along it is 2 MB.

Pydantic asks it for plugins, slixmpp for its own version. Where a plugin of pydantic's is installed, the
real one answers.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

_METADATA = "importlib.metadata"
_PLUGINS = "pydantic"
"""The group of entry points in which pydantic looks for its plugins."""


@contextmanager
def leanly() -> Iterator[None]:
    """Imports in the body find no versions, and plugins only where there are some; later ones find all."""
    if _METADATA in sys.modules:
        yield
        return
    stand_in = _StandIn(_METADATA)
    sys.modules[_METADATA] = stand_in
    try:
        yield
    finally:
        if sys.modules.get(_METADATA) is stand_in:
            del sys.modules[_METADATA]


class _StandIn(ModuleType):
    """In place of the module while others are loaded; what it lacks, the real one has."""

    PackageNotFoundError = ModuleNotFoundError

    def version(self, _distribution: str) -> str:
        """Says no version: nobody here shows it."""
        return "0.0.0"

    def entry_points(self, **wanted: Any) -> Any:  # noqa: ANN401  # whatever the real one gives
        """None, where a look into the folders shows that there are none of pydantic's plugins."""
        if wanted == {"group": _PLUGINS} and not _has_plugins():
            return ()
        return _real().entry_points(**wanted)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # as above
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(_real(), name)


def _real() -> ModuleType:
    if isinstance(sys.modules.get(_METADATA), _StandIn):
        del sys.modules[_METADATA]
    import importlib.metadata  # noqa: PLC0415  # this module is here to spare it

    return importlib.metadata


def _has_plugins() -> bool:
    """Whether an installed distribution says that it has some; a doubt counts as yes."""
    try:
        return any(
            f"[{_PLUGINS}]" in file.read_text(encoding="utf-8")
            for place in map(Path, sys.path)
            if place.is_dir()
            for file in place.glob("*-info/entry_points.txt")
        )
    except (OSError, ValueError):
        return True
