"""The guides for people, operators and who writes devices say what the code does."""

import re

import pytest

from iotxmpp.commands import Outcome
from iotxmpp.controller.queued import COMMAND_STATES
from iotxmpp.serving import chatlimits, execution, person, sessions
from iotxmpp.serving.chat import OLDEST
from iotxmpp.serving.chattext import told
from iotxmpp.serving.journal import (
    KEEP,
    KEEP_EXPIRED,
    MOST_CALLS,
    MOST_IN_MEMORY,
    MOST_OF_ONE,
    UNKNOWN,
)
from iotxmpp.serving.progress import GAP
from tests.unit.documents import TEXTS, rows, section

CLIENTS = TEXTS["docs/clients.md"]
WRITING = " ".join(TEXTS["docs/writing-commands.md"].split())


@pytest.mark.parametrize("heading", ["## The states", "### What to do at each"])
def test_an_operator_is_told_of_each_state(heading: str) -> None:
    stated = [row[0] for row in rows(section(TEXTS["docs/commands.md"], heading))]
    assert stated == list(COMMAND_STATES)


def test_what_people_see_is_what_they_are_told() -> None:
    seen = dict(rows(section(CLIENTS, "## When it does not work")))
    assert "came too late, and was not started" in told("switch", Outcome(kind="expired"))
    assert "… came too late, and was not started" in " ".join(seen)
    assert "what became of it is not known" in told("switch", UNKNOWN)
    assert "what became of it is not known" in " ".join(seen)
    limit = f"{chatlimits.MOST_MESSAGES} messages in {chatlimits.WITHIN:.0f} seconds"
    assert limit in seen['"That was too much: …"']
    assert f"longer than {person.PATIENCE:.0f} seconds" in seen['"still running"']
    assert f"more than {sessions.LASTING / 60:.0f} minutes" in seen["an error about the session"]
    assert f"older than {OLDEST:.0f} seconds" in " ".join(TEXTS["docs/server.md"].split())


def test_who_writes_a_device_is_told_the_figures() -> None:
    assert f"for {KEEP / 86400:.0f} days after its end" in WRITING
    assert KEEP_EXPIRED == 86400
    assert f"It holds {MOST_CALLS:,} calls, {MOST_IN_MEMORY:,} in memory" in WRITING
    assert MOST_OF_ONE == 0.75
    assert (round(1 / GAP), "five a second" in WRITING) == (5, True)
    assert (execution.AT_ONCE, "at most eight" in WRITING) == (8, True)


def test_each_guide_is_reached_from_the_readme() -> None:
    for guide in ("clients", "commands", "writing-commands", "access"):
        assert re.search(rf"\]\(docs/{guide}\.md\)", TEXTS["README.md"]), guide
