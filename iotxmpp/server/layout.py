"""What lies where in a private server's directory, and what a start needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from iotxmpp.account import Account


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths in a server's directory.

    The directory and `etc` belong to the invoking user; the server writes only below `var`. So a server
    that was taken over cannot make the user write somewhere else through a link.
    """

    directory: Path

    @property
    def settings(self) -> Path:
        """What the directory is for: kind, domain, ports. Its presence marks a server's directory."""
        return self.directory / "server.toml"

    @property
    def lock(self) -> Path:
        """Locked while a server lives here."""
        return self.directory / "lock"

    @property
    def admin(self) -> Path:
        """The administrator's account file."""
        return self.directory / "admin.toml"

    @property
    def controller(self) -> Path:
        """The controller's account file."""
        return self.directory / "controller.toml"

    @property
    def ca(self) -> Path:
        """The certificate that clients trust."""
        return self.directory / "ca.pem"

    @property
    def ca_key(self) -> Path:
        """Its key; the server never sees it."""
        return self.directory / "ca.key"

    @property
    def console(self) -> Path:
        """What the server's process printed."""
        return self.directory / "console.log"

    @property
    def etc(self) -> Path:
        """What the server reads."""
        return self.directory / "etc"

    @property
    def certificate(self) -> Path:
        """The server's certificate."""
        return self.etc / "server.crt"

    @property
    def key(self) -> Path:
        """Its key."""
        return self.etc / "server.key"

    @property
    def var(self) -> Path:
        """What the server writes; also its working directory."""
        return self.directory / "var"

    @property
    def log(self) -> Path:
        """The server's own log."""
        return self.var / "server.log"

    @property
    def ready(self) -> Path:
        """Made by a server that needs a moment for its first accounts, when they are there."""
        return self.var / "ready"


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """All that a server's configuration is made from.

    Attributes:
        layout: Where its files lie.
        domain: The domain that it serves.
        port: The STARTTLS port.
        direct_port: The direct TLS port.
        admin: The administrator: creates accounts and nodes.
        controller: The first controller: an ordinary account.
    """

    layout: Layout
    domain: str
    port: int
    direct_port: int
    admin: Account
    controller: Account

    @property
    def service(self) -> str:
        """The JID of the PubSub service."""
        return f"pubsub.{self.domain}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """How to start one server.

    Attributes:
        command: The program's full path, and its arguments.
        env: Its environment, besides what every program gets.
        files: The text of each file below `etc`.
        secrets: Those of the files to remove once the server is up.
        makes_ready: Whether the server makes the file `Layout.ready`.
    """

    command: tuple[str, ...]
    env: Mapping[str, str]
    files: Mapping[Path, str]
    secrets: tuple[Path, ...] = ()
    makes_ready: bool = False
