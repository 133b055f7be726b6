"""The JSON Schemas for editors: up to date, true of every shipped profile, and against what is wrong."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

import device_profiles
from iotxmpp.cli.schemas import agent_schema, profile_schema
from tests.unit.documents import ROOT, blocks
from tests.unit.schema_check import faults

FOLDER = Path(device_profiles.__file__).parent
GOOD: dict[str, Any] = {
    "schema": 1,
    "id": "x",
    "version": "1.0.0",
    "driver": {"kind": "gpio", "pins": [1]},
    "readings": {"t": {"type": "float", "unit": "Cel", "range": [0, 1.5], "source": {"pin": 1}}},
    "commands": {
        "c": {"args": {"a": {"type": "int", "default": 1, "choices": [1, 2]}}, "effect": {"set": "t"}}
    },
}


def against(value: Any, schema: dict[str, Any] | None = None) -> list[str]:  # noqa: ANN401  # JSON
    whole = schema if schema is not None else profile_schema()
    return list(faults(value, whole, whole))


@pytest.mark.parametrize(
    ("file", "command", "made"),
    [
        ("schema.json", "profile schema", profile_schema()),
        ("agent.schema.json", "profile schema --agent", agent_schema()),
    ],
)
def test_the_schemas_in_the_package_are_up_to_date(file: str, command: str, made: dict[str, Any]) -> None:
    kept = json.loads((FOLDER / file).read_text(encoding="utf-8"))
    assert kept == made, f"run: iotxmpp {command} > device_profiles/{file}"


@pytest.mark.parametrize("name", device_profiles.names())
def test_every_shipped_profile_names_its_schema_and_fits_it(name: str) -> None:
    text = device_profiles.text_of(name)
    first = text.partition("\n")[0]
    assert first.startswith("#:schema ./")
    assert (FOLDER / first.removeprefix("#:schema ")).samefile(FOLDER / "schema.json")
    assert against(tomllib.loads(text)) == []


def test_the_documents_files_fit_too() -> None:
    seen = {"profile": 0, "profile file": 0, "agent": 0}
    for block in blocks("toml"):
        if block.marker in seen:
            seen[block.marker] += 1
            schema = agent_schema() if block.marker == "agent" else profile_schema()
            assert against(tomllib.loads(block.text), schema) == [], str(block)
    assert all(seen.values())
    agent = (ROOT / "examples/chat_relay.toml").read_text(encoding="utf-8")
    assert against(tomllib.loads(agent), agent_schema()) == []


def changed(path: str, value: object) -> dict[str, Any]:
    """A good profile with another value at a place; None takes it away."""
    table: dict[str, Any] = json.loads(json.dumps(GOOD))
    *parents, last = path.split(".")
    inner = table
    for key in parents:
        inner = inner[key]
    inner[last] = value
    if value is None:
        del inner[last]
    return table


def test_a_good_table_fits() -> None:
    assert against(GOOD) == []
    assert against(changed("driver", None) | {"extends": "bme280", "readings": {"t": {"every": 5}}}) == []


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        ("schema", 2, ".schema: not 1"),
        ("id", "X y", ".id: not like"),
        ("version", "1.0", ".version: not like"),
        ("version", None, ": version is missing"),
        ("driver", None, ": driver is missing"),
        ("driver.kind", None, ".driver: kind is missing"),
        ("shema", 1, ".shema: not allowed"),
        ("readings.t.type", None, ".readings.t: type is missing"),
        ("readings.t.type", "double", ".readings.t.type: not in enum"),
        ("readings.t.unit", "C", ".readings.t.unit: not in enum"),
        ("readings.t.unti", "Cel", ".readings.t.unti: not allowed"),
        ("readings.t.range", [1], ".readings.t.range: out of bounds"),
        ("readings.t.range", ["a", "b"], ".readings.t.range.0: no number"),
        ("readings.t.every", 0, ".readings.t.every: out of bounds"),
        ("readings.t.simulate", {"wave": "weekly"}, ".readings.t.simulate.wave: not in enum"),
        ("readings.t.counter", "yes", ".readings.t.counter: no boolean"),
        ("commands.c.args.a.type", None, ".commands.c.args.a: type is missing"),
        ("commands.c.effect.sett", "t", ".commands.c.effect.sett: not allowed"),
    ],
)
def test_what_is_wrong_is_seen_in_the_editor(path: str, value: object, fault: str) -> None:
    assert any(each.startswith(fault) for each in against(changed(path, value)))


def test_an_agents_file_is_seen_through_as_well() -> None:
    good = {"account": "a.toml", "profile": "bme280", "calibration": {"temperature": {"offset": -0.4}}}
    assert against(good, agent_schema()) == []
    assert against(good | {"outbox": "memory"}, agent_schema()) == []
    assert against(good | {"outbox": {"bytes": 10}}, agent_schema()) == [".outbox: none of anyOf"]
    assert against(good | {"rooom": "x"}, agent_schema()) == [".rooom: not allowed"]
    assert against({"profile": "x"}, agent_schema()) == [": account is missing"]


def test_every_key_is_explained() -> None:
    for schema in (profile_schema(), agent_schema()):
        for part in (schema, *schema["definitions"].values()):
            for name, each in part.get("properties", {}).items():
                assert each.get("description"), name
