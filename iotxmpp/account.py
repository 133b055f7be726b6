"""Accounts: who we are at which server, from a file, the environment, or code."""

import errno
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Self, TextIO

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from iotxmpp.addresses import bare_jid, domain, is_host_name, local_part, service_jid
from iotxmpp.errors import ConfigError, InvalidError
from iotxmpp.tables import TableError, parse_table, read_text
from iotxmpp.validation import explain
from iotxmpp.xmltext import check_text

ACCOUNT_VARIABLE = "IOTXMPP_ACCOUNT"
PASSWORD_VARIABLE = "IOTXMPP_PASSWORD"  # noqa: S105  # a variable's name
CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY"
"""Where systemd puts what `LoadCredential=` names, for the service's process alone."""

_OTHERS = 0o077


class Account(BaseModel):
    """Who we are, and how to reach the server.

    Attributes:
        jid: The bare JID.
        password: Its password; shown nowhere.
        password_credential: In a file, in place of `password`: the credential of systemd that holds it.
        host: The server's host; None looks it up by DNS SRV (RFC 6120 section 3.2.1).
        port: The server's port; needs `host`.
        tls: `direct` (XEP-0368), `starttls`, or `auto`: direct first where DNS offers it, else STARTTLS.
        ca: A file of certificates to trust instead of the system's.
        service: The PubSub service; `pubsub.<domain>` unless given.
        controllers: The bare JIDs that a device obeys, and that may see its presence and readings.
        collector: The one of them whose acks count: what it has, the device lets go; the first unless given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    jid: str
    password: SecretStr
    password_credential: str | None = None
    host: str | None = None
    port: int | None = Field(default=None, ge=1, le=65535, strict=True)
    tls: Literal["auto", "direct", "starttls"] = "auto"
    ca: Path | None = None
    service: str = ""
    controllers: tuple[str, ...] = ()
    collector: str | None = None

    @field_validator("jid")
    @classmethod
    def _bare(cls, jid: str) -> str:
        return bare_jid(jid)

    @field_validator("password")
    @classmethod
    def _for_xml(cls, password: SecretStr) -> SecretStr:
        try:
            check_text(password.get_secret_value(), "password")
        except InvalidError:
            raise ValueError("a control character, which XML cannot carry; set another password") from None
        return password

    @field_validator("host")
    @classmethod
    def _name_or_address(cls, host: str | None) -> str | None:
        if host is not None and not is_host_name(host):
            raise ValueError(
                "no host's name or address; give one, without spaces and control characters, with 1 to 63"
                " letters, digits and hyphens between its dots"
            )
        return host

    @field_validator("ca")
    @classmethod
    def _possible(cls, ca: Path | None) -> Path | None:
        if "\0" in str(ca):
            raise ValueError("a NUL character, which no path can have; give another path")
        return ca

    @field_validator("service")
    @classmethod
    def _domain_alone(cls, service: str, others: ValidationInfo) -> str:
        jid = others.data.get("jid")
        is_usual = jid is not None and service == f"pubsub.{domain(jid)}"
        return service if is_usual else service_jid(service)

    @field_validator("controllers")
    @classmethod
    def _bare_each(cls, jids: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(bare_jid(jid) for jid in jids)

    @field_validator("collector")
    @classmethod
    def _bare_collector(cls, jid: str | None) -> str | None:
        return None if jid is None else bare_jid(jid)

    @model_validator(mode="before")
    @classmethod
    def _service_of_domain(cls, given: object) -> object:
        if isinstance(given, dict) and not given.get("service") and isinstance(given.get("jid"), str):
            try:
                return {**given, "service": f"pubsub.{domain(given['jid'])}"}
            except InvalidError:  # told of the key `jid`
                return given
        return given

    @model_validator(mode="after")
    def _port_with_host(self) -> Self:
        if self.port is not None and self.host is None:
            raise ValueError("port is given without host; give both, or neither to look them up by DNS SRV")
        return self

    @property
    def name(self) -> str:
        """What stands before the @."""
        return local_part(self.jid)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads an account's TOML file.

        A credential of systemd that has the file's name is read in its place: so a service can use a file
        that its user may not read. A relative `ca` starts at the folder of the file, wherever it is read.

        Raises:
            ConfigError: The file is missing, readable by others, or wrong, or there is no such credential.
        """
        where = f"account file {path}"
        credential = _credential(path.name)
        try:
            text = read_text(credential or path)
            mode = 0 if credential else stat.S_IMODE(path.stat().st_mode)
        except TableError as error:
            raise TableError(where, error.faults) from error
        except OSError as error:
            raise ConfigError(f"{where}: {error}") from error
        try:
            table = parse_table(text, where)
        except TableError:
            _check_mode(mode, path)
            raise
        if "password_credential" in table and "password" not in table:
            table["password"] = _password(table["password_credential"], where)
        else:
            _check_mode(mode, path)
        if isinstance(table.get("ca"), str):
            table["ca"] = str(path.parent.absolute() / table["ca"])  # `device add` writes it elsewhere
        try:
            return cls.model_validate(table)
        except ValidationError as error:
            raise ConfigError(explain(error, where)) from error

    def toml(self) -> str:
        """The text of the account's file, password included, but for one that a credential holds."""
        given = self.model_dump(mode="json", exclude_none=True)
        if self.password_credential is None:
            given["password"] = self.password.get_secret_value()
        else:
            del given["password"]
        return "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in given.items())

    def save(self, path: Path) -> None:
        """Writes the account's TOML file, password included, readable to its owner alone; makes its folder.

        Raises:
            ConfigError: It cannot be written there.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with _scratch_file(path.parent, path.name) as (file, scratch):
                file.write(self.toml())
                file.flush()
                scratch.replace(path)
        except OSError as error:
            raise _not_writable(path, error) from error

    @staticmethod
    def check_place(path: Path) -> None:
        """Makes sure that an account's file could be written there; leaves nothing behind.

        Raises:
            ConfigError: It could not; the text says why.
        """
        try:
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            folder = next(folder for folder in path.absolute().parents if folder.exists())
            with _scratch_file(folder, path.name):
                pass
        except OSError as error:
            raise _not_writable(path, error) from error

    @classmethod
    def find(cls, jid: str, *, password: str | None = None) -> Self:
        """The account of a JID: its password from the argument or the environment.

        `IOTXMPP_ACCOUNT` names an account file; `IOTXMPP_PASSWORD` is a password.

        Raises:
            ConfigError: No password is to be found, it is none, or the file is of another account.
        """
        jid = bare_jid(jid)
        path = os.environ.get(ACCOUNT_VARIABLE)
        if path:
            account = cls.load(Path(path))
            if account.jid != jid:
                raise ConfigError(
                    f"{ACCOUNT_VARIABLE} names {path}, the account of {account.jid}, not of {jid}"
                )
            return account
        password = password or os.environ.get(PASSWORD_VARIABLE)
        if not password:
            raise ConfigError(
                f"no password for {jid}: set {PASSWORD_VARIABLE}, or {ACCOUNT_VARIABLE} to its account file"
            )
        try:
            return cls(jid=jid, password=SecretStr(password))
        except ValidationError as error:
            raise ConfigError(explain(error, f"account {jid}")) from error


def _check_mode(mode: int, path: Path) -> None:
    if mode & _OTHERS:
        raise ConfigError(f"account file {path}: others may read its password; run: chmod 600 {path}")


def _credential(name: str) -> Path | None:
    """The file of one of systemd's credentials; None where it gives us none of that name."""
    folder = os.environ.get(CREDENTIALS_VARIABLE)
    if not folder or not name or name != Path(name).name:
        return None
    file = Path(folder) / name
    return file if file.is_file() else None


def _password(name: object, where: str) -> str:
    """The password that a credential holds, without the line's end.

    Raises:
        ConfigError: There is no such credential, or it cannot be read.
    """
    file = _credential(name) if isinstance(name, str) else None
    if file is None:
        raise ConfigError(
            f"{where}: password_credential {str(name)[:80]!r}: systemd gives no such credential; put"
            f" `LoadCredential={str(name)[:80]}:/etc/credstore/{str(name)[:80]}` into the service's unit,"
            " or give `password`"
        )
    try:
        text = read_text(file).rstrip("\r\n")
    except TableError as error:
        raise TableError(f"{where}: password_credential {name!r}", error.faults) from error
    if not text:
        raise ConfigError(f"{where}: password_credential {name!r}: it is empty")
    return text


@contextmanager
def _scratch_file(folder: Path, name: str) -> Iterator[tuple[TextIO, Path]]:
    """A new file of mode 0600, gone in the end unless it was moved."""
    import tempfile  # noqa: PLC0415  # a device writes no account; half a MB with all that it takes along

    handle, path = tempfile.mkstemp(dir=folder, prefix=f".{name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            yield file, Path(path)
    finally:
        Path(path).unlink(missing_ok=True)


def _not_writable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"account file {path} cannot be written: {error.strerror or error}")
