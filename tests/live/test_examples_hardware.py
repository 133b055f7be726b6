"""The examples of hardware, run as they stand but with short waits, on a real Prosody."""

import shutil
from pathlib import Path

import pytest

import device_profiles
from iotxmpp.errors import CommandFailedError
from tests.live.village import EXAMPLES, PATIENCE, Ears, Village


async def test_the_breadboard_tells_its_button_and_lights_its_led(
    village: Village, ears: Ears, tmp_path: Path
) -> None:
    await village.device("board")
    await ears.controller.wait_for("board", online=None)
    shutil.copy(EXAMPLES / "breadboard.profile.toml", tmp_path)
    async with village.script("breadboard.toml", "board"):
        board = await ears.controller.wait_for("board")
        await ears.until(4)
        assert board.about is not None
        assert (board.about.profile, board.about.room) == ("breadboard 1.0.0", "workshop")
        bells = [value for name, value, _ in ears.readings if name == "board/bell"]
        assert bells[:2] in ([True, False], [False, True]), "its presses come by themselves"
        assert await board.call("light", on=True) == {"led": True}
        while ("board/led", True, None) not in ears.readings:
            await ears.until(len(ears.readings) + 1)


async def test_the_functions_of_the_python_driver_serve_a_tank(
    village: Village, ears: Ears, tmp_path: Path
) -> None:
    await village.device("tank")
    await ears.controller.wait_for("tank", online=None)
    for name in ("tank.profile.toml", "python_driver.py"):
        shutil.copy(EXAMPLES / name, tmp_path)
    async with village.script("python_driver.toml", "tank"):
        tank = await ears.controller.wait_for("tank")
        await ears.until(2)
        assert ("tank/level", 117.5, "l") in ears.readings, "calibrated"
        assert await tank.call("pump", on=True) == {"pump": True}
        while ("tank/pump", True, None) not in ears.readings:
            await ears.until(len(ears.readings) + 1)
        levels = [value for name, value, _ in ears.readings if name == "tank/level"]
        assert isinstance(levels[-1], float)
        assert levels[-1] < 117.5
        empty = tmp_path / "python_driver.py"
        empty.write_text(empty.read_text("utf-8").replace("120.0", "0.0"), encoding="utf-8")
    await ears.controller.wait_for("tank", online=False, timeout=PATIENCE)
    async with village.script("python_driver.toml", "tank"):
        tank = await ears.controller.wait_for("tank", timeout=PATIENCE)
        with pytest.raises(CommandFailedError, match=r"python_driver\.py line \d+: RuntimeError: the tank"):
            await tank.call("pump", on=True)


@pytest.mark.parametrize("name", ["breadboard.profile.toml", "tank.profile.toml"])
def test_a_profile_of_the_examples_is_good(name: str) -> None:
    profile = device_profiles.load_file(EXAMPLES / name)
    assert profile.channels()
    assert profile.description
