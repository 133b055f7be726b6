"""`extends` in a profile: the tables of a parent, with the child's own laid over them."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iotxmpp.faulttexts import guess
from iotxmpp.relations import RELATIONS
from iotxmpp.tables import TableError

MOST_LEVELS = 8
"""Profiles that one may stand on, itself counted."""

_OWN = ("schema", "id", "version")


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """A profile as it stands in its file.

    Attributes:
        table: Its TOML.
        where: The file, for errors.
        key: Tells it from all others, so that a cycle is seen.
        parent: Finds the profile that its `extends` names; raises ConfigError where there is none.
        folder: The file's folder; None where it stands in none.
    """

    table: Mapping[str, Any]
    where: str
    key: str
    parent: Callable[[str], "Written"]
    folder: Path | None = None


def no_parent(where: str) -> Callable[[str], Written]:
    """For a text that stands in no folder: it can extend nothing."""

    def find(name: str) -> Written:
        raise TableError(where, [f"extends: {name!r} cannot be found from here; give a file"])

    return find


def line_of(written: Written) -> list[Written]:
    """The profile and those that it stands on, the first of them first.

    Raises:
        ConfigError: One is missing, they stand on each other, or are more than `MOST_LEVELS`.
    """
    line = [written]
    while "extends" in line[-1].table:
        here = line[-1]
        name = here.table["extends"]
        if not isinstance(name, str) or not name:
            raise TableError(here.where, ["extends: give a profile's name, or a .toml file beside this one"])
        parent = here.parent(name)
        chain = " -> ".join(each.where for each in (*line, parent))
        if parent.key in {each.key for each in line}:
            raise TableError(written.where, [f"extends: a cycle: {chain}; take one `extends` away"])
        line.append(parent)
        if len(line) > MOST_LEVELS:
            raise TableError(written.where, [f"extends: more than {MOST_LEVELS} levels: {chain}"])
    return line[::-1]


def laid_over(parent: Mapping[str, Any], child: Written) -> dict[str, Any]:
    """A child's whole table: the parent's without what the child takes away, and the child's over it.

    A child with another driver takes over neither the driver's settings nor the sources.

    Raises:
        ConfigError: `without` names what the parent does not have.
    """
    base = {key: value for key, value in parent.items() if key not in (*_OWN, "extends", "without")}
    for part in ("readings", "commands"):
        base[part] = dict(base.get(part, {}))
    _take_away(base, child)
    kind, new = (_driver_kind(table) for table in (base, child.table))
    if new is not None and new != kind:
        base.pop("driver", None)
        for part in ("readings", "commands"):
            base[part] = {name: _without_source(each) for name, each in base[part].items()}
    try:
        return _merged(base, child.table)
    except RecursionError as error:
        raise TableError(child.where, ["nested too deep; write it flatter"]) from error


def _take_away(base: dict[str, Any], child: Written) -> None:
    names = child.table.get("without", ())
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise TableError(child.where, ['without: give a list of names, such as ["humidity"]'])
    for name in names:
        if name not in base["readings"] and name not in base["commands"]:
            known = guess(name, [*base["readings"], *base["commands"]])
            raise TableError(child.where, [f"without: nothing is called {name!r} there{known}"])
        base["readings"].pop(name, None)
        base["commands"].pop(name, None)
    base["readings"] = {key: _without_parts(each, names) for key, each in base["readings"].items()}


def _driver_kind(table: Mapping[str, Any]) -> object:
    driver = table.get("driver")
    return driver.get("kind") if isinstance(driver, Mapping) else None


def _without_source(table: object) -> object:
    return {k: v for k, v in table.items() if k != "source"} if isinstance(table, Mapping) else table


def _without_parts(table: object, gone: Collection[str]) -> object:
    """A reading whose simulation needs nothing that is taken away; its own signal serves then."""
    hints = table.get("simulate") if isinstance(table, Mapping) else None
    if not isinstance(table, Mapping) or not isinstance(hints, Mapping):
        return table
    kept = {key: each for key, each in hints.items() if key not in RELATIONS or not _names_any(each, gone)}
    return {**table, "simulate": kept}


def _names_any(parts: object, gone: Collection[str]) -> bool:
    named = [parts] if isinstance(parts, str) else parts
    return isinstance(named, list | tuple) and any(name in gone for name in named)


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        before = merged.get(key)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            merged[key] = _merged(before, value)
        else:
            merged[key] = value
    return merged
