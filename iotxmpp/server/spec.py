"""Which private server is wanted, and where it lives."""

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from iotxmpp.errors import InvalidError

HOST = "127.0.0.1"
"""A private server listens here and nowhere else."""

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_LONGEST_DOMAIN = 200
_LOWEST_PORT, _HIGHEST_PORT = 1024, 65535


class ServerKind(StrEnum):
    """The servers that can be started."""

    PROSODY = "prosody"
    EJABBERD = "ejabberd"


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerSpec:
    """A private server on the loopback interface.

    Attributes:
        kind: The program.
        directory: Its folder: a new or empty one, or one that such a server made before.
        domain: The domain that it serves, as a DNS name in lower case.
        port: The STARTTLS port, from 1024; 0 takes the one of the last start, else chooses a free one.
        direct_port: The direct TLS port (XEP-0368); 0 likewise.
        start_timeout: Seconds until it must accept clients.
        stop_timeout: Seconds that it has to end by itself; then it is killed.

    Raises:
        InvalidError: The domain or a port is none.
    """

    kind: ServerKind
    directory: Path
    domain: str = "localhost"
    port: int = 0
    direct_port: int = 0
    start_timeout: float = 30.0
    stop_timeout: float = 15.0

    def __post_init__(self) -> None:
        if len(self.domain) > _LONGEST_DOMAIN or not _DOMAIN.fullmatch(self.domain):
            raise InvalidError(
                f"domain {self.domain!r}: expected a DNS name in lower case, such as localhost"
            )
        for port in (self.port, self.direct_port):
            if port and not _LOWEST_PORT <= port <= _HIGHEST_PORT:
                raise InvalidError(
                    f"port {port}: the server has no rights of an administrator; "
                    f"use {_LOWEST_PORT} to {_HIGHEST_PORT}, or 0 to choose a free one"
                )
        if self.port and self.port == self.direct_port:
            raise InvalidError(f"port {self.port} is given twice; port and direct_port must differ")
