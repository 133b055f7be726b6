"""`iotxmpp outbox`: what it shows and changes, beside a running agent."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from iotxmpp.agent.config import load_agent
from iotxmpp.agent.outbox.notes import EpochNotes
from iotxmpp.agent.outbox.rows import Epoch, Row, place_of
from iotxmpp.agent.outbox.store import DiskOutbox
from iotxmpp.cli.app import app
from iotxmpp.errors import ArgumentsError, ConfigError, InvalidError, StoreError

NOW = 1_790_000_000.0


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(app, ["outbox", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def run_json(*arguments: str) -> Any:  # noqa: ANN401  # JSON
    return json.loads(run(*arguments, "--json").stdout)


@pytest.fixture
def outbox(tmp_path: Path) -> Path:
    """An outbox with readings, a loss and three dead letters, one of them without a time."""
    path = tmp_path / "outbox.db"
    with closing(DiskOutbox(path)) as made:
        made.begin(Epoch(id=1, name="e1", boot="b1"))
        made.write(
            [
                *(Row(place_of(1, seq), "level", "m", NOW + seq, "s", 1.5) for seq in range(1, 6)),
                Row(place_of(1, 6), "door", None, NOW, "u", value=True),
                Row(place_of(1, 7), "door", None, 12.0, "r", value=False),
            ]
        )
        made.lose(place_of(1, 8), place_of(1, 9), "full")
        made.bury(place_of(1, 1), place_of(1, 2), "it broke the link")
        made.bury(place_of(1, 7), place_of(1, 7), "its time cannot be told")
    return path


def test_list_tells_what_waits_is_lost_and_dead(outbox: Path) -> None:
    told = run_json("list", "--file", str(outbox))
    assert told["waiting"] == [
        {"channel": "door", "readings": 1, "bytes": 36, "oldest": NOW},
        {"channel": "level", "readings": 3, "bytes": 108, "oldest": NOW + 3},
    ]
    assert [(each["first"], each["last"], each["reason"]) for each in told["lost"]] == [
        (1, 2, "dead-letter"),
        (7, 7, "dead-letter"),
        (8, 9, "full"),
    ]
    assert [(each["name"], each["value"], each["reason"]) for each in told["dead"]] == [
        ("e1.1", 1.5, "it broke the link"),
        ("e1.2", 1.5, "it broke the link"),
        ("e1.7", False, "its time cannot be told"),
    ]
    text = run("list", "--file", str(outbox)).stdout
    assert "4 readings wait" in text
    assert "dead letters:" in text


def test_show_retry_and_drop_beside_a_running_agent(outbox: Path) -> None:
    with closing(DiskOutbox(outbox)) as running:
        assert run_json("show", "e1.2", "-f", str(outbox))["time"] == NOW + 2
        assert "it broke the link" in run("show", "e1.2", "-f", str(outbox)).stdout
        run("retry", "e1.2", "-f", str(outbox))
        assert [each.row.place for each in running.letters(retry=True)] == [place_of(1, 2)]
        run("drop", "e1.1", "e1.7", "-f", str(outbox))
        assert [each.row.place for each in running.letters()] == [place_of(1, 2)]
        running.write([Row(place_of(1, 10), "level", "m", NOW, "s", 1.5)])
        assert run_json("list", "-f", str(outbox))["waiting"][1]["readings"] == 4
        run("drop", "-f", str(outbox))
        assert running.letters() == []


def test_a_wrong_name_or_file_is_told(outbox: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match=r"no dead letter 'e1\.5'"):
        run("show", "e1.5", "-f", str(outbox))
    with pytest.raises(InvalidError, match=r"e1\.7: its time cannot be told"):
        run("retry", "-f", str(outbox))
    with pytest.raises(StoreError, match="not there"):
        run("list", "-f", str(tmp_path / "none.db"))


def damage(path: Path, offset: int, content: bytes) -> bytes:
    content = path.read_bytes()[:offset] + content + path.read_bytes()[offset + len(content) :]
    path.write_bytes(content)
    return content


@pytest.mark.parametrize("command", ["list", "show e1.1", "retry", "drop"])
@pytest.mark.parametrize(
    ("offset", "content", "why"),
    [
        (0, b"nothing of the kind", "file is not a database"),
        (47, b"\x90", "unsupported file format"),
        (4096, b"\xff" * 60_000, "malformed"),
        (68, b"\x12", "header: a database of another program"),
        (60, b"\x12", "header: its tables have version"),
    ],
)
def test_a_damaged_file_is_named_with_what_becomes_of_it(
    outbox: Path, command: str, offset: int, content: bytes, why: str
) -> None:
    EpochNotes(outbox).write([])
    damaged = damage(outbox, offset, content)
    with pytest.raises(StoreError) as caught:
        run(*command.split(), "-f", str(outbox))
    text = str(caught.value)
    assert text.startswith(f"outbox {outbox}: the file is damaged (")
    assert why in text
    assert "Start its agent anew" in text
    assert "outbox.db.corrupt-" in text
    assert outbox.read_bytes() == damaged


def test_a_strange_file_without_a_note_and_an_empty_one_are_told(outbox: Path) -> None:
    damage(outbox, 68, b"\x12")
    with pytest.raises(StoreError, match=r"outbox\.db: a database of another program; .* give another path"):
        run("list", "-f", str(outbox))
    outbox.write_bytes(b"")
    with pytest.raises(StoreError, match=r"outbox\.db: empty; an agent makes it"):
        run("list", "-f", str(outbox))


def test_a_file_that_is_in_use_is_not_called_damaged(outbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iotxmpp.agent.outbox.inspection.BUSY", 0.01)
    with closing(sqlite3.connect(outbox, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"outbox\.db: cannot be used now: database is locked; see to"):
            run("drop", "-f", str(outbox))


def agent_file(folder: Path, more: str = "") -> Path:
    account = folder / "account.toml"
    account.write_text('jid = "greenhouse@example.org"\npassword = "secret"\n')
    account.chmod(0o600)
    path = folder / "agent.toml"
    path.write_text(f'account = "account.toml"\nprofile = "bme280"\ndriver.kind = "simulated"\n{more}')
    return path


def test_the_file_is_found_by_the_agents_file(outbox: Path, tmp_path: Path) -> None:
    config = agent_file(tmp_path, 'outbox = "outbox.db"\n')
    assert run_json("list", "--config", str(config))["file"] == str(outbox)
    with pytest.raises(InvalidError, match="in memory"):
        run("list", "--config", str(agent_file(tmp_path, 'outbox = "memory"\n')))


def test_the_file_is_found_by_the_account(
    outbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = load_agent(agent_file(tmp_path))
    monkeypatch.setenv("IOTXMPP_STATE", str(tmp_path / "state"))
    expected = tmp_path / "state" / "greenhouse@example.org" / "outbox.db"
    assert agent.outbox_path == expected
    expected.parent.mkdir(parents=True)
    outbox.rename(expected)
    told = run_json("list", "--account", str(tmp_path / "account.toml"))
    assert (told["file"], len(told["dead"])) == (str(expected), 3)


def test_the_agents_file_sets_the_outbox_up(tmp_path: Path) -> None:
    agent = load_agent(agent_file(tmp_path, '[outbox]\nbytes = 1000000\nage = 3600\nwhen_full = "thin"\n'))
    assert (agent._outbox.bytes, agent._outbox.age, agent._outbox.when_full) == (1_000_000, 3600, "thin")
    for wrong in (
        "outbox = 5\n",
        "[outbox]\nbites = 7\n",
        '[outbox]\nwhen_full = "burn"\n',
        "[outbox]\nage = 0\n",
    ):
        with pytest.raises(ConfigError, match="outbox"):
            load_agent(agent_file(tmp_path, wrong))


def test_looking_at_rejections_makes_no_store(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'none' / 'y.db'}"
    with pytest.raises(ArgumentsError, match="there is no such file"):
        CliRunner().invoke(app, ["controller", "rejected", "--store", url], catch_exceptions=False)
    assert not (tmp_path / "none").exists()
