"""Loads a device's modules without what they take along and no device has a use for.

Pydantic asks `importlib.metadata` for plugins, slixmpp for its own version; with all that it takes along it
is 2 MB. Where a plugin of pydantic's is installed, the real one answers. And pydantic tells type checkers the
shapes of its schemas, by classes that keep half a MB of compiled annotations.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType, new_class
from typing import Any

_METADATA = "importlib.metadata"
_PLUGINS = "pydantic"
"""The group of entry points in which pydantic looks for its plugins."""

_CORE = "pydantic_core"
_SCHEMAS = "pydantic_core.core_schema"


@contextmanager
def leanly() -> Iterator[None]:
    """Imports in the body find no versions, and plugins only where there are some; later ones find all."""
    if _METADATA in sys.modules:
        yield
        return
    _load_core()
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


def _load_core() -> None:
    """Loads pydantic's core with one class, a dict, for all shapes of its schemas: nothing reads them."""
    if _CORE in sys.modules:
        return
    if sys.version_info < (3, 12):  # where the core takes it from
        import typing_extensions as home  # noqa: PLC0415  # pydantic needs it; nobody else here does
    else:
        import typing as home  # noqa: PLC0415  # as said
    names = vars(home)
    typed_dict: Any = names["TypedDict"]

    class Shapeless(type):
        def __new__(cls, name: str, bases: Any, body: dict[str, Any], **options: Any) -> Any:  # noqa: ANN401, ARG004  # as `type` has it
            if body["__module__"] == _SCHEMAS:
                return shape
            return new_class(name, (typed_dict,), options, lambda new: new.update(body))

    shape = type.__new__(Shapeless, "Shape", (dict,), {})
    names["TypedDict"] = shape
    try:
        with suppress(TypeError):  # a core that makes them otherwise is loaded as it is, when it is needed
            import pydantic  # noqa: F401, PLC0415  # which loads its core first
    finally:
        names["TypedDict"] = typed_dict


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
