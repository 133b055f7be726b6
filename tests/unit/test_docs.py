"""The documents are true: their tables, links, code and command lines are held against the program."""

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import typer.main
from pydantic import BaseModel

import device_profiles
from device_profiles.table import with_table
from iotxmpp.account import ACCOUNT_VARIABLE, PASSWORD_VARIABLE, Account
from iotxmpp.agent.config import AgentFile
from iotxmpp.agent.outbox.settings import OutboxSettings
from iotxmpp.agent.sensors import AT_LEAST
from iotxmpp.cli.app import app
from iotxmpp.cli.exits import Exit
from iotxmpp.controller.store import STATE_VARIABLE
from iotxmpp.kinds import Argument, CommandKind, Effect, ReadingKind, Simulate
from iotxmpp.profiles import DriverChoice, Profile, parse_profile
from iotxmpp.server import tuning
from iotxmpp.units import check_unit
from iotxmpp.version import VERSION
from tests.unit.documents import FENCE, ROOT, TEXTS, blocks, first_cells, rows, section

CLI: Final = TEXTS["docs/cli.md"]
PROFILES: Final = TEXTS["docs/profiles.md"]
SERVER: Final = TEXTS["docs/server.md"]

_LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ (?P<text>.*)$", re.MULTILINE)


def test_every_json_block_is_json() -> None:
    found = blocks("json")
    assert found
    for block in found:
        json.loads(block.text)


def test_every_link_leads_somewhere() -> None:
    broken = []
    for file, text in TEXTS.items():
        for target in (match["target"] for match in _LINK.finditer(FENCE.sub("", text))):
            if target.startswith(("https://", "http://", "mailto:")):
                continue
            path, _, anchor = target.partition("#")
            goal = (ROOT / file).parent / path if path else ROOT / file
            if not goal.exists() or (anchor and anchor not in _anchors(goal.read_text("utf-8"))):
                broken.append(f"{file}: {target}")
    assert broken == []


def _anchors(text: str) -> set[str]:
    """The anchors that a heading gets where such documents are shown."""
    return {
        re.sub(r"[^\w\- ]", "", match["text"].lower()).replace(" ", "-") for match in _HEADING.finditer(text)
    }


def test_every_python_block_compiles() -> None:
    found = blocks("python")
    assert found
    for block in found:
        compile(block.text, str(block), "exec", flags=0x2000)  # with await at the top level


def test_every_toml_block_is_toml_and_what_its_marker_says(tmp_path: Path) -> None:
    found = blocks("toml")
    assert found
    for block in found:
        table = tomllib.loads(block.text)
        match block.marker:
            case "profile":
                parse_profile(block.text, str(block))
            case "profile file":
                file = tmp_path / "profile.toml"
                file.write_text(block.text, encoding="utf-8")
                device_profiles.load_file(file)
            case "agent":
                AgentFile.model_validate(table)
            case "account":
                Account.model_validate(table)
            case "":
                assert block.file in {"README.md", "CONTRIBUTING.md"}, f"{block}: say what it is"


def test_every_unit_that_a_document_uses_is_registered() -> None:
    units = set(re.findall(r'\bunit ?= ?"([^"]+)"', "\n".join(TEXTS.values())))
    assert units
    for unit in units:
        check_unit(unit, "a document")


# Command lines.


def command_lines() -> Iterator[tuple[str, list[str]]]:
    """Each line of a shell block that calls iotxmpp, with its words."""
    for block in blocks("sh", "bash", "console"):
        for line in block.text.splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            while words and re.fullmatch(r"\w+=.*", words[0]):
                words.pop(0)
            if words[:1] == ["iotxmpp"]:
                yield f"{block}: {line}", words[1:]


def inline_command_lines() -> Iterator[tuple[str, list[str]]]:
    for file, text in TEXTS.items():
        for line in re.findall(r"`(iotxmpp [^`]*)`", FENCE.sub("", text)):
            yield f"{file}: {line}", shlex.split(line)[1:]


def leaf(words: list[str]) -> tuple[Any, list[str]]:
    """The command that words name, and its arguments."""
    command: Any = typer.main.get_command(app)
    words = list(words)
    while hasattr(command, "commands"):
        options = {name for each in command.params for name in each.opts} | {"--help", "-vv"}
        while words and words[0].startswith("-"):
            assert words[0] in options, f"no option {words[0]}"
            words.pop(0)
        if not words:
            return command, []
        assert words[0] in command.commands, f"no command {words[0]}"
        command = command.commands[words.pop(0)]
    return command, words


@pytest.mark.parametrize(("where", "words"), list(command_lines()))
def test_a_command_line_can_be_given(where: str, words: list[str]) -> None:
    command, arguments = leaf(words)
    if not hasattr(command, "commands"):
        command.make_context(where, arguments).close()


@pytest.mark.parametrize(("where", "words"), list(inline_command_lines()))
def test_a_command_in_a_sentence_exists(where: str, words: list[str]) -> None:
    command, arguments = leaf(words)
    options = {name for each in command.params for name in each.opts}
    for word in arguments:
        assert not word.startswith("-") or word in options, f"{where}: no option {word}"


def test_the_check_of_command_lines_finds_what_is_not_there() -> None:
    with pytest.raises(AssertionError, match="no command fly"):
        leaf(["device", "fly"])
    command, arguments = leaf(["device", "add", "--nonsense"])
    with pytest.raises(Exception, match="nonsense"):
        command.make_context("here", arguments)


# The command line's document.


def leaves(command: Any, path: str = "iotxmpp") -> Iterator[tuple[str, Any]]:  # noqa: ANN401  # typer's own
    for name, each in getattr(command, "commands", {}).items():
        yield from leaves(each, f"{path} {name}")
    if not hasattr(command, "commands"):
        yield path, command


COMMANDS = dict(leaves(typer.main.get_command(app)))


@pytest.mark.parametrize("path", sorted(COMMANDS))
def test_a_command_is_documented_with_all_of_its_options(path: str) -> None:
    (heading,) = re.findall(rf"^### `{path}(?: [^`]*)?`$", CLI, re.MULTILINE)
    text = section(CLI, heading) if heading.startswith("###") else section(CLI, f"### `{path}`")
    stated = set(re.findall(r"--[a-z-]+", " ".join(first_cells(text))))
    long = {name for each in COMMANDS[path].params for name in each.opts if name.startswith("--")}
    assert stated == long - {"--help"}


def test_no_command_is_documented_that_is_not_there() -> None:
    headings = re.findall(r"^### `(iotxmpp[^`]*)`$", CLI, re.MULTILINE)
    assert headings
    for heading in headings:
        assert any(heading == path or heading.startswith(f"{path} ") for path in COMMANDS), heading


def test_the_exit_codes_are_those_of_the_program() -> None:
    stated = [(int(row[0]), row[1]) for row in rows(section(CLI, "## Exit codes"))]
    assert [row for row in stated if row[0] < 100] == [(code.value, code.name) for code in Exit]


def test_the_environment_variables_are_listed() -> None:
    stated = first_cells(section(CLI, "## Environment variables"))
    ours = {ACCOUNT_VARIABLE, PASSWORD_VARIABLE, STATE_VARIABLE}
    assert ours <= stated
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "iotxmpp").rglob("*.py"))
    assert set(re.findall(r"\b(?:IOTXMPP|XDG)_[A-Z_]+\b", sources)) == stated


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("### An account's file", Account),
        ("### An agent's file", AgentFile),
        ("### An outbox's settings", OutboxSettings),
    ],
)
def test_a_file_is_documented_with_all_of_its_keys(heading: str, model: type[BaseModel]) -> None:
    assert first_cells(section(CLI, heading)) == set(model.model_fields)


# The profiles' document.


def test_the_table_of_shipped_profiles_is_up_to_date() -> None:
    assert with_table(PROFILES, "docs/profiles.md") == PROFILES
    assert len(first_cells(section(PROFILES, "## The profiles that come along"))) == len(
        device_profiles.names()
    )


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("### The kind", Profile),
        ("### A reading", ReadingKind),
        ("### A simulated reading", Simulate),
        ("### A command", CommandKind),
        ("### An argument", Argument),
        ("### An effect", Effect),
    ],
)
def test_a_part_of_a_profile_is_documented_with_all_of_its_keys(heading: str, model: type[BaseModel]) -> None:
    keys = {field.alias or name for name, field in model.model_fields.items()}
    assert first_cells(section(PROFILES, heading)) == keys
    assert "kind" in DriverChoice.model_fields


def test_the_time_after_which_an_unchanged_value_comes_again_is_the_one_of_agents() -> None:
    (row,) = (row for row in rows(section(PROFILES, "### A reading")) if row[0] == "at_least")
    assert row[1].endswith(f"; {AT_LEAST:g} unless given")


# The server's document.


def test_the_tuning_is_the_one_that_private_servers_have() -> None:
    assert f"read_timeout = {tuning.QUIET_SECONDS}" in SERVER
    assert f"smacks_hibernation_time = {tuning.RESUME_SECONDS}" in SERVER
    assert f"resume_timeout: {tuning.RESUME_SECONDS} s" in SERVER
    assert f"ping_interval: {tuning.QUIET_SECONDS - 5} s" in SERVER


# All documents.


def test_no_document_names_this_machine_or_how_it_was_made() -> None:
    banned = re.compile(r"/work/|/root/|/tmp/h\d|pypi\.org|\bissue \d|\bhelper \d", re.IGNORECASE)
    assert {file: banned.findall(text) for file, text in TEXTS.items() if banned.search(text)} == {}


def test_the_changelog_has_the_version_of_the_package() -> None:
    assert re.search(rf"^## \[?{re.escape(VERSION)}\]? ", TEXTS["CHANGELOG.md"], re.MULTILINE)
