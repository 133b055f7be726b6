"""Which server the command line starts, and what it says where there is none."""

import pytest

from iotxmpp import server
from iotxmpp.cli.server import KINDS, chosen_kind
from iotxmpp.errors import ConfigError
from iotxmpp.server import ServerKind


def have(monkeypatch: pytest.MonkeyPatch, *kinds: ServerKind) -> None:
    """Only these are installed."""
    monkeypatch.setattr(server, "installed", lambda kind: kind in kinds)


@pytest.mark.parametrize(
    ("there", "chosen"),
    [
        ((ServerKind.PROSODY, ServerKind.EJABBERD), ServerKind.PROSODY),
        ((ServerKind.PROSODY,), ServerKind.PROSODY),
        ((ServerKind.EJABBERD,), ServerKind.EJABBERD),
    ],
)
def test_the_first_that_is_installed(
    monkeypatch: pytest.MonkeyPatch, there: tuple[ServerKind, ...], chosen: ServerKind
) -> None:
    have(monkeypatch, *there)
    assert chosen_kind("") is chosen


def test_with_none_installed_the_error_says_exactly_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    have(monkeypatch)
    with pytest.raises(ConfigError) as caught:
        chosen_kind("")
    assert str(caught.value) == (
        "no XMPP server is installed. prosody is not installed; on Debian, Ubuntu or Raspberry Pi OS run as"
        " root: apt-get install --no-install-recommends prosody (its own service is not needed:"
        " systemctl disable --now prosody)"
    )


@pytest.mark.parametrize("kind", list(ServerKind))
def test_a_kind_that_is_named_is_taken(monkeypatch: pytest.MonkeyPatch, kind: ServerKind) -> None:
    have(monkeypatch)
    assert chosen_kind(str(kind)) is kind
    assert str(kind) in KINDS


def test_a_kind_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ConfigError, match="server 'openfire': choose prosody or ejabberd"):
        chosen_kind("openfire")
