"""Whose unit is there: `iotxmpp agent install` touches no other agent's, and knows its own."""

import subprocess
from pathlib import Path

import pytest

from iotxmpp.cli.install_units import is_same
from tests.unit.install_house import AS, BME280, agent_in, config, folder, install, refused

__all__ = ["config", "folder"]


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another agent's file, of a device with the same id."""
    return agent_in(tmp_path / "the other")


@pytest.mark.parametrize("words", [AS, ("--user",)])
def test_another_agents_unit_is_not_written_over(
    config: Path, other: Path, folder: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    units = tmp_path / "home/.config/systemd/user" if words == ("--user",) else folder
    unit = units / "iotxmpp-hall.service"
    assert install(other, *words).exit_code == 0
    before = unit.read_text()
    text = refused(config, *words)
    assert f"{unit} is the unit of {other}, not of {config}" in text
    where = " --user" if words == ("--user",) else ""
    assert f"`iotxmpp agent install{where} '{other}' --uninstall --name iotxmpp-hall`" in text
    assert unit.read_text() == before
    unit.write_text(before.replace("RestartSec=5", "RestartSec=1"))
    assert f"is the unit of {other}" in refused(config, *words)  # changed, it is the other's all the same
    assert install(config, *words, "--name", "hall-2").exit_code == 0
    assert f"agent run {config}\n" in (units / "hall-2.service").read_text()
    assert install(config, *words, "--force").exit_code == 0
    assert f"agent run {config}\n" in unit.read_text()
    assert install(config, *words).exit_code == 0


def test_another_unit_of_the_same_agent_is_told(config: Path, other: Path, folder: Path) -> None:
    install(config, *AS, "--name", "shed")
    install(other, *AS, "--name", "cellar")
    told = install(config, *AS)
    assert told.exit_code == 0
    assert f"{folder}/shed.service runs {config}, too: two agents would log in as one device" in told.stderr
    assert f"iotxmpp agent install {config} --uninstall --name shed --now" in told.stderr
    assert "cellar" not in told.stderr
    (folder / "shed.service").unlink()
    assert (
        "too: two agents" not in install(config, *AS).stderr + install(other, *AS, "--name", "cellar").stderr
    )


def test_however_a_file_is_spelled_its_unit_is_found(
    config: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path)
    (tmp_path / "deep/mine.toml").symlink_to(config)
    (tmp_path / "deep/hall.account.toml").symlink_to(tmp_path / "hall.account.toml")
    monkeypatch.chdir(tmp_path / "deep")
    spelled = ["../agent.toml", "mine.toml", str(tmp_path / "linked/agent.toml"), "../deep/../agent.toml"]
    pairs = [(str(config), each) for each in spelled] + [(each, str(config)) for each in spelled]
    for one, other in pairs:
        assert install(Path(one), *AS).exit_code == 0
        assert install(Path(other), *AS).exit_code == 0  # it is its own unit
        done = install(Path(other), "--uninstall")
        assert (done.exit_code, [*folder.glob("*.service")]) == (0, []), (one, other)


def test_links_to_one_file_are_agents_of_their_own(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "common.toml").write_text(BME280)
    one, other = (agent_in(tmp_path / name) for name in ("a", "b"))
    for file in (one, other):
        file.unlink()
        file.symlink_to(tmp_path / "common.toml")
    assert not is_same(one, other)
    assert is_same(one, tmp_path / "b/../a/agent.toml")
    install(one, *AS)
    assert f"is the unit of {one}, not of {other}" in refused(other, *AS)


def test_systemd_takes_a_path_with_dots(
    config: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deep").mkdir()
    config.write_text(BME280.replace("hall.", "deep/../hall.") + 'outbox = "deep/../x.db"\n')
    monkeypatch.chdir(tmp_path / "deep")
    assert install(Path("../agent.toml"), *AS).exit_code == 0
    unit = folder / "iotxmpp-hall.service"
    assert ".." not in unit.read_text()
    assert f"ReadWritePaths={tmp_path}\n" in unit.read_text()
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, "normalized" in done.stderr) == (0, False)


def test_nothing_starts_a_unit_that_is_removed(config: Path, folder: Path) -> None:
    install(config, *AS)
    wants = folder / "multi-user.target.wants"
    wants.mkdir()
    for name in ("iotxmpp-hall", "iotxmpp-cellar"):
        (wants / f"{name}.service").symlink_to(folder / f"{name}.service")
    done = install(config, "--uninstall")
    assert [each.name for each in wants.iterdir()] == ["iotxmpp-cellar.service"]
    assert "systemctl stop iotxmpp-hall\n" in done.stdout
    assert "disable" not in done.stdout  # which finds no unit any more
