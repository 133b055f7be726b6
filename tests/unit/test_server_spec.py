"""What may be asked of a private server, and what its directory remembers."""

import socket
from pathlib import Path
from typing import Any

import pytest

from iotxmpp.errors import InvalidError
from iotxmpp.server import PortTakenError, ServerDirectoryError, ServerKind, ServerSpec
from iotxmpp.server.layout import Layout
from iotxmpp.server.settings import check_free, free_port, settle


def spec(directory: Path, **options: Any) -> ServerSpec:  # noqa: ANN401  # a spec's own fields
    return ServerSpec(kind=ServerKind.PROSODY, directory=directory, **options)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"domain": ""}, "DNS name"),
        ({"domain": "Example.org"}, "lower case"),
        ({"domain": 'a"; os.execute("x")'}, "DNS name"),
        ({"domain": "-a.org"}, "DNS name"),
        ({"domain": "a\n"}, "DNS name"),
        ({"domain": ".".join(["a" * 60] * 4)}, "DNS name"),
        ({"port": 80}, "1024 to 65535"),
        ({"direct_port": 65536}, "1024 to 65535"),
        ({"port": 5222, "direct_port": 5222}, "must differ"),
    ],
)
def test_refuses_what_cannot_be(tmp_path: Path, options: dict[str, object], fault: str) -> None:
    with pytest.raises(InvalidError, match=fault):
        spec(tmp_path, **options)


def test_chosen_ports_are_remembered(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    first = settle(spec(tmp_path), layout)
    assert first.port != first.direct_port
    assert settle(spec(tmp_path), layout) == first


def test_a_port_that_is_given_wins(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    before = settle(spec(tmp_path), layout)
    given = free_port(before.direct_port)
    assert settle(spec(tmp_path, port=given), layout).port == given
    assert settle(spec(tmp_path), layout).port == given


def test_the_two_ports_stay_apart(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    before = settle(spec(tmp_path), layout)
    after = settle(spec(tmp_path, port=before.direct_port), layout)
    assert after.port == before.direct_port != after.direct_port


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        with pytest.raises(PortTakenError, match=f"port {port} on 127.0.0.1.*choose another port"):
            check_free(port)
    check_free(port)


def test_a_directory_of_another_kind_is_refused(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    settle(spec(tmp_path), layout)
    other = ServerSpec(kind=ServerKind.EJABBERD, directory=tmp_path)
    with pytest.raises(ServerDirectoryError, match="made for prosody and the domain localhost"):
        settle(other, layout)


@pytest.mark.parametrize("text", ["kind = ", 'kind = "prosody"', "\udcff"])
def test_broken_settings_are_named(tmp_path: Path, text: str) -> None:
    layout = Layout(tmp_path)
    layout.settings.write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(ServerDirectoryError, match=r"server\.toml.*remove the server's directory"):
        settle(spec(tmp_path), layout)
