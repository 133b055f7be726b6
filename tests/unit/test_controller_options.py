"""What is given to a controller, and what it says when that is wrong."""

from pathlib import Path

import pytest

from iotxmpp.controller import Controller
from iotxmpp.errors import ConfigError, CredentialsError, InvalidError, UnknownDeviceError
from tests.unit.controller_world import HOUSE, World


async def test_the_state_directory_is_the_default(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IOTXMPP_STATE", str(tmp_path / "state"))
    async with await world.controller(store=None):
        assert (tmp_path / "state" / "controller.db").exists()


async def test_outside_of_its_run_it_says_so(world: World) -> None:
    controller = await world.controller()
    assert controller.jid == HOUSE
    with pytest.raises(UnknownDeviceError, match="does not run"):
        controller.device("hall")


async def test_a_wrong_password_leaves_nothing_open(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.server.create_account(HOUSE, "other", renew=True)
    monkeypatch.setattr("iotxmpp.controller.controller._open_link", world.server.link)
    controller = Controller(HOUSE, password="wrong", store="sqlite://", metrics_port=0)
    with pytest.raises(CredentialsError):
        await controller.__aenter__()
    assert controller.metrics_url is None
    with pytest.raises(UnknownDeviceError, match="does not run"):
        await controller.rejections()


async def test_without_a_password_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IOTXMPP_PASSWORD", raising=False)
    monkeypatch.delenv("IOTXMPP_ACCOUNT", raising=False)
    with pytest.raises(ConfigError, match="set IOTXMPP_PASSWORD"):
        await Controller("house@example.org").__aenter__()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"devices": "hall"}, "give a list"),
        ({"devices": ["Hall!"]}, "device id"),
        ({"devices": ["a@one.example", "a@two.example"]}, "ids are unique"),
        ({"discover_every": 0}, "discover_every"),
    ],
)
def test_wrong_options_are_told(options: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidError, match=says):
        Controller(HOUSE, **options)  # type: ignore[arg-type]  # a table's entries


def test_a_wrong_declaration_is_told_at_once() -> None:
    controller = Controller(HOUSE)
    with pytest.raises(InvalidError, match="no channel's name"):
        controller.on_reading(3, 4)  # type: ignore[call-overload]  # that is the mistake
    with pytest.raises(InvalidError, match="warm room"):
        controller.on_reading("warm room")
    with pytest.raises(InvalidError, match="annotate it"):

        @controller.on_reading("temperature")
        def handler(reading: list[int]) -> None: ...
