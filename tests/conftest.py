"""What every test may ask for."""

import signal
from collections.abc import Generator, Iterator

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.servers", "tests.postgres"]

# A busy machine is no fault; nor is a first run, in which Hypothesis makes its tables of characters.
settings.register_profile("iotxmpp", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("iotxmpp")

# A shell starts what runs in the background with SIGINT ignored, and every child would inherit that: then a
# test's Ctrl-C reaches nobody.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def common_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing that outlives one test keeps its state in the home of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("IOTXMPP_STATE", raising=False)
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has a state of its own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test logs may hold halves of surrogate pairs, which a worker cannot pass on."""
    report = yield
    report.sections = [(name, text.encode(errors="replace").decode()) for name, text in report.sections]
    return report
