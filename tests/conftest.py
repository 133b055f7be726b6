"""What every test may ask for."""

import pytest

pytest_plugins = ["tests.servers", "tests.postgres"]


@pytest.fixture(autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that a test runs keeps its state in the home of whoever runs the tests."""
    monkeypatch.setenv("IOTXMPP_STATE", str(tmp_path_factory.mktemp("state")))
