"""CONTRIBUTING.md's driver is one: it is run as it is printed."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from iotxmpp.agent.config import load_agent
from iotxmpp.agent.drivers import Driver, Pushing, create_driver
from iotxmpp.errors import ConfigError, UnknownCommandError
from iotxmpp.profiles import parse_profile
from tests.unit.agent_house import House, open_house, until
from tests.unit.documents import TEXTS, blocks, section

PROFILE = """
schema = 1
id = "tank"
version = "1.0.0"
driver = { kind = "tank" }
[readings.level]
type = "float"
unit = "/100"
range = [0, 100]
on_change = true
"""
ACCOUNT = 'jid = "greenhouse@example.org"\npassword = "secret"\ncontrollers = ["house@example.org"]\n'


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> type[object]:
    """The class that the page prints, known as the driver `tank`."""
    (block,) = (each for each in blocks("python") if each.file == "CONTRIBUTING.md")
    assert block.text in section(TEXTS["CONTRIBUTING.md"], "## A driver")
    names: dict[str, Any] = {"__name__": "my_drivers"}
    exec(compile(block.text, str(block), "exec"), names)  # noqa: S102  # it is our own page
    monkeypatch.setattr("iotxmpp.agent.drivers._own_factory", lambda _kind: names["TankDriver"])
    found = names["TankDriver"]
    assert isinstance(found, type)
    return found


async def test_the_printed_driver_reads_pushes_and_refuses(printed: type[object], tmp_path: Path) -> None:
    (tmp_path / "gauge").write_bytes(bytes([0, 51, 255]))
    profile = parse_profile(PROFILE, "tank.toml")
    driver: Driver = create_driver(profile, {"path": "gauge"}, folder=tmp_path)
    assert isinstance(driver, printed)
    assert isinstance(driver, Pushing)
    async with driver:
        assert await driver.read() == {}
        samples = driver.samples()
        assert [(await anext(samples)).values["level"] for _ in range(3)] == [0, 20, 100]
        with pytest.raises(OSError, match="unplugged"):
            await anext(samples)
        assert await driver.read() == {"level": 100}
        with pytest.raises(UnknownCommandError, match="no command fill"):
            await driver.command("fill", {})
    with pytest.raises(ConfigError, match="driver tank: unknown key depth in driver"):
        create_driver(profile, {"depth": 1})


@pytest.fixture
async def house(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    async with open_house() as opened:
        monkeypatch.setattr("iotxmpp.agent.agent.open_link", opened.server.link)
        yield opened


@pytest.mark.usefixtures("printed")
async def test_the_printed_driver_serves_an_agent(house: House, tmp_path: Path) -> None:
    (tmp_path / "tank.toml").write_text(PROFILE)
    (tmp_path / "account.toml").write_text(ACCOUNT)
    (tmp_path / "account.toml").chmod(0o600)
    (tmp_path / "gauge").write_bytes(bytes([51, 255]))
    agent_file = tmp_path / "agent.toml"
    agent_file.write_text('account = "account.toml"\nprofile = "tank.toml"\ndriver.path = "gauge"\n')
    agent = load_agent(agent_file)
    async with agent:
        await until(lambda: house.values("level")[:2] == [20, 100])
        await until(lambda: any("unplugged" in problem for problem in agent.status.problems))
