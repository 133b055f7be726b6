"""`iotxmpp controller run --access FILE`."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from iotxmpp.access import Access, load_access
from iotxmpp.cli.controller import app
from iotxmpp.errors import ConfigError
from tests.unit.controller_world import HOUSE, account

GRANTS = """
[access]
"ann@example.org" = { role = "operator", devices = ["greenhouse-*"] }
"""


class Stopped(Exception):  # noqa: N818  # no error: the test ends here
    """The controller would run now."""


class Recorded:
    """Takes the place of a controller."""

    made: list[dict[str, Any]]

    def __init__(self, _account: object, **options: Any) -> None:  # noqa: ANN401  # a controller's own
        self.made.append(options)

    async def __aenter__(self) -> None:
        raise Stopped

    async def __aexit__(self, *error: object) -> None:
        """It never was entered."""


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    monkeypatch.setattr(Recorded, "made", [], raising=False)
    monkeypatch.setattr("iotxmpp.Controller", Recorded, raising=False)
    return Recorded.made


def run(folder: Path, *options: str) -> None:
    account(HOUSE).save(folder / "house.toml")
    words = ["run", "--account", str(folder / "house.toml"), *options]
    CliRunner().invoke(app, words, catch_exceptions=False)


def test_the_controller_gets_who_may_do_what(tmp_path: Path, made: list[dict[str, Any]]) -> None:
    file = tmp_path / "access.toml"
    file.write_text(GRANTS)
    with pytest.raises(Stopped):
        run(tmp_path, "--access", str(file))
    with pytest.raises(Stopped):
        run(tmp_path)
    given: Access = made[0]["access"]
    assert given.decide("ann@example.org/phone", device="greenhouse-1", command="water").allowed
    assert not given.decide("ann@example.org/phone", device="barn", command="water").allowed
    assert made[1]["access"] is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected a table [access], and nothing beside it"),
        ('access = "everybody"', "expected a table [access]"),
        (f"{GRANTS}\n[grants]\n", "nothing beside it; it has grants"),
        ("[access", "not TOML"),
        ('[access]\n"ann@example.org" = "operater"', "did you mean 'operator'?"),
        ('[access]\n"ann" = { role = "operator", device = ["a"] }', "unknown key 'device'"),
    ],
)
def test_a_wrong_file_is_told_by_its_name_before_anything_starts(
    tmp_path: Path, made: list[dict[str, Any]], text: str, says: str
) -> None:
    file = tmp_path / "access.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        run(tmp_path, "--access", str(file))
    assert str(caught.value).startswith(f"access file {file}: ")
    assert says in str(caught.value)
    assert made == []


def test_a_file_that_is_not_there_or_no_text_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"access file .*none\.toml"):
        load_access(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"access file .*binary\.toml"):
        load_access(tmp_path / "binary.toml")
