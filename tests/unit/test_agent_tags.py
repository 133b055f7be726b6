"""Tags: from the script or the agent's file into the device's description."""

from collections.abc import Iterable
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from iotxmpp.about import MOST_TAGS, About
from iotxmpp.account import Account
from iotxmpp.agent import Agent
from iotxmpp.agent.config import load_agent
from iotxmpp.errors import ConfigError, InvalidError

ACCOUNT = Account(jid="relay-1@localhost", password=SecretStr("secret"))


@pytest.mark.parametrize(
    ("tags", "described"),
    [((), ()), (["spare", "roof/west", "spare"], ("spare", "roof/west")), ("spare", ("spare",))],
)
def test_a_device_describes_its_tags(tags: Iterable[str], described: tuple[str, ...]) -> None:
    assert Agent(ACCOUNT, tags=tags).about.tags == described


@pytest.mark.parametrize(
    "tags", ["two words", [""], ["a,b"], ["x" * 65], ["\x01"], [f"t{n}" for n in range(MOST_TAGS + 1)]]
)
def test_a_tag_that_cannot_be_written_down_is_refused(tags: Iterable[str]) -> None:
    with pytest.raises(InvalidError, match="tags: "):
        Agent(ACCOUNT, tags=tags)


def test_tags_stand_in_the_agents_file(tmp_path: Path) -> None:
    ACCOUNT.save(tmp_path / "account.toml")
    file = tmp_path / "agent.toml"
    file.write_text(
        'account = "account.toml"\nprofile = "bme280"\ndriver.kind = "simulated"\ntags = ["spare"]\n'
    )
    assert load_agent(file).about.tags == ("spare",)
    file.write_text(
        'account = "account.toml"\nprofile = "bme280"\ndriver.kind = "simulated"\ntags = ["two words"]\n'
    )
    with pytest.raises(ConfigError, match="tags: 'two words': use 1 to 64 characters"):
        load_agent(file)


def test_a_description_without_tags_has_none_and_wrong_ones_are_refused() -> None:
    assert About.model_validate_json('{"device": "a"}').tags == ()
    for wrong in ('["a b"]', '[""]', "[" + ",".join(['"a"'] * (MOST_TAGS + 1)) + "]"):
        with pytest.raises(ValidationError):
            About.model_validate_json(f'{{"device": "a", "tags": {wrong}}}')
