"""What a server's directory remembers from start to start: kind, domain and ports."""

import json
import random
import socket
import tomllib

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from iotxmpp.server.errors import PortTakenError, ServerDirectoryError, ServerStartError
from iotxmpp.server.files import write
from iotxmpp.server.layout import Layout
from iotxmpp.server.spec import HOST, ServerKind, ServerSpec
from iotxmpp.validation import explain

# Below the ports that the kernel hands to outgoing connections: one of these stays free until the next start.
_CHOICE = range(15000, 32000)
_ATTEMPTS = 200


class Remembered(BaseModel):
    """The content of `server.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ServerKind
    domain: str
    port: int = Field(ge=1, le=65535)
    direct_port: int = Field(ge=1, le=65535)


def settle(spec: ServerSpec, layout: Layout) -> Remembered:
    """The ports to use, now remembered in the directory.

    Raises:
        ServerDirectoryError: The directory is another server's.
        PortTakenError: A port is taken.
    """
    before = _read(layout)
    if before is not None and (before.kind, before.domain) != (spec.kind, spec.domain):
        raise ServerDirectoryError(
            f"server directory {layout.directory} was made for {before.kind} and the domain {before.domain}, "
            f"not for {spec.kind} and {spec.domain}; choose another, or remove it"
        )
    port = spec.port or (before.port if before else free_port(spec.direct_port))
    direct_port = spec.direct_port or (before.direct_port if before else free_port(port))
    if port == direct_port:
        direct_port = free_port(port)
    for number in (port, direct_port):
        check_free(number)
    now = Remembered(kind=spec.kind, domain=spec.domain, port=port, direct_port=direct_port)
    if now != before:
        pairs = now.model_dump(mode="json").items()
        write(layout.settings, "".join(f"{key} = {json.dumps(value)}\n" for key, value in pairs))
    return now


def check_free(port: int) -> None:
    """Says whether the port can be listened on.

    Raises:
        PortTakenError: It is taken.
    """
    try:
        _listen(port)
    except OSError as error:
        raise PortTakenError(
            f"port {port} on {HOST}: {error.strerror}; stop what listens there, or choose another port"
        ) from error


def free_port(other: int = 0) -> int:
    """A port that nobody listens on, and that is not the other."""
    for port in random.sample(_CHOICE, _ATTEMPTS):
        try:
            _listen(port)
        except OSError:
            continue
        if port != other:
            return port
    raise ServerStartError(f"no free port found on {HOST}; give one")


def _listen(port: int) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(1)


def _read(layout: Layout) -> Remembered | None:
    path = layout.settings
    try:
        return Remembered.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise ServerDirectoryError(f"{explain(error, str(path))}; remove the server's directory") from error
    except (OSError, ValueError) as error:
        raise ServerDirectoryError(f"{path}: {error}; remove the server's directory") from error
