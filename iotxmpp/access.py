"""Who may do what: roles, given to accounts and domains for devices and commands; what nobody gave is denied.

A device decides with this for itself, and a controller once more for all of its devices.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from iotxmpp.addresses import bare_jid
from iotxmpp.errors import ConfigError, InvalidError

ROLES = ("observer", "operator", "maintainer")
"""The roles that are always there; each may do all that those before it may."""

_EVERYTHING = ("*",)
_GRANT_KEYS = ("role", "devices", "commands")
_ROLES_KEY = "roles"


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """A role that is given to somebody.

    Attributes:
        who: A bare JID; or a domain, for every account of it, but not of its subdomains.
        role: One of `ROLES`, or a role of one's own.
        devices: Globs (`*`, `?`) of device ids that it is given for.
        commands: Globs of commands that it is given for; it observes a device with any.
    """

    who: str
    role: str
    devices: tuple[str, ...] = _EVERYTHING
    commands: tuple[str, ...] = _EVERYTHING

    def __post_init__(self) -> None:
        object.__setattr__(self, "who", _account_or_domain(self.who))

    def covers(self, account: str, device: str) -> bool:
        """Whether it is given to that bare JID, for that device."""
        return self.who in (account, account.partition("@")[2]) and _fits(device, self.devices)


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """Whether somebody may do something.

    Attributes:
        allowed: Whether.
        role: The role by which; of a refusal, the highest that they have there. Empty for none.
        why: For people: of a refusal, what is missing and who can mend it; else empty.
    """

    allowed: bool
    role: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Access:
    """All that was given.

    The roles of `ROLES` are measured by the role that a command asks for. A role of one's own may call the
    commands that it lists, whatever they ask for, and observes.

    Attributes:
        grants: What is given; what several give adds up.
        roles: Roles of one's own, each with globs of the commands that it may call.
    """

    grants: Sequence[Grant] = ()
    roles: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Checks the roles.

        Raises:
            InvalidError: A grant names a role that is not there, or a role of one's own has a taken name.
        """
        object.__setattr__(self, "grants", tuple(self.grants))
        object.__setattr__(self, "roles", {name: tuple(globs) for name, globs in self.roles.items()})
        for name in self.roles:
            if name in ROLES or not name.strip():
                raise InvalidError(
                    f"role {name!r}: {', '.join(ROLES)} are there already; choose another name"
                )
        known = dict.fromkeys((*ROLES, *self.roles))
        for grant in self.grants:
            if grant.role not in known:
                raise InvalidError(f"{grant.who}: {_no_role(grant.role, known)}")

    def plus(self, *grants: Grant) -> "Access":
        """The same with more grants.

        Raises:
            InvalidError: One of them names a role that is not there.
        """
        return Access((*self.grants, *grants), self.roles)

    def decide(self, jid: str, *, device: str, command: str = "", needs: str = "operator") -> Decision:
        """Whether an account may do something with a device.

        Args:
            jid: Who asks, bare or full; what is no account's is refused.
            device: The device's id.
            command: The command that they call; empty for observing: presence, lists of commands, status.
            needs: The role that the command asks for; what is none of `ROLES` asks for a maintainer.
        """
        try:
            account = bare_jid(jid)
        except InvalidError:  # a server's own address
            return Decision(allowed=False, why=f"{jid} is no account; only accounts can be given a role")
        found = [grant for grant in self.grants if grant.covers(account, device)]
        if not found:
            return Decision(
                allowed=False,
                why=f"{account} has no role on {device}; whoever runs {device} can give one under [access]",
            )
        by = [grant.role for grant in found if self._allows(grant, command, needs)]
        if by:
            return Decision(allowed=True, role=max(by, key=_rank))
        role = max((grant.role for grant in found), key=_rank)
        return Decision(allowed=False, role=role, why=self._missing(account, device, command, needs, found))

    def observes(self, jid: str, device: str) -> bool:
        """Whether an account may see a device's presence, commands and status."""
        return self.decide(jid, device=device).allowed

    def speaks_for_others(self, jid: str, device: str) -> bool:
        """Whether a device believes an account for whom it asks, as it does its controllers.

        It does where the account itself, not its domain, is a maintainer of the device with all commands.
        """
        try:
            account = bare_jid(jid)
        except InvalidError:  # a server's own address
            return False
        return any(
            grant.who == account
            and grant.role == ROLES[-1]
            and "*" in grant.commands
            and grant.covers(account, device)
            for grant in self.grants
        )

    def account_or_domain(self, jid: str, *, device: str = "") -> str:
        """By what somebody has a role: the account that a grant names, or else the domain; empty for no role.

        Args:
            jid: Who asks, bare or full.
            device: The device's id; empty for any.
        """
        try:
            account = bare_jid(jid)
        except InvalidError:  # a server's own address
            return ""
        named = {grant.who for grant in self.grants if not device or _fits(device, grant.devices)}
        return next((who for who in (account, account.partition("@")[2]) if who in named), "")

    def _allows(self, grant: Grant, command: str, needs: str) -> bool:
        if not command:
            return True
        return self._suffices(grant.role, command, needs) and _fits(command, grant.commands)

    def _suffices(self, role: str, command: str, needs: str) -> bool:
        if role in ROLES:
            return _rank(role) >= (_rank(needs) if needs in ROLES else len(ROLES) - 1)
        return _fits(command, self.roles[role])

    def _missing(self, account: str, device: str, command: str, needs: str, found: Sequence[Grant]) -> str:
        held = _told({grant.role for grant in found})
        if any(self._suffices(grant.role, command, needs) for grant in found):
            return (
                f"{account} is {held} on {device}, but not for {command};"
                f" whoever runs {device} can add it to their commands under [access]"
            )
        wanted = needs if needs in ROLES else f"{needs} or {ROLES[-1]}"
        return (
            f"{account} is {held} on {device}, and {command} asks for {wanted};"
            f" whoever runs {device} can give that role under [access]"
        )


def parse_access(table: Mapping[str, Any], where: str) -> Access:
    """Who may do what, from the table `[access]` of a TOML file.

    ```toml
    [access]
    "alice@example.org" = "maintainer"
    "example.org" = "observer"
    "bob@example.org" = { role = "gardener", devices = ["greenhouse-*"], commands = ["water"] }

    [access.roles]
    gardener = ["water", "shade/*"]
    ```

    Args:
        table: The table. One who has several grants has an array of tables.
        where: The file, for errors.

    Raises:
        ConfigError: A key, a role or an address is wrong; it names the file and the key.
    """
    roles = _own_roles(table.get(_ROLES_KEY, {}), f"{where}: {_ROLES_KEY}")
    known = dict.fromkeys((*ROLES, *roles))  # in their order, and found at once
    grants = [
        grant
        for who, given in table.items()
        if who != _ROLES_KEY
        for grant in _grants(who, given, known, f"{where}: {who!r}")
    ]
    return Access(grants, roles)


def load_access(path: Path) -> Access:
    """Who may do what, from a TOML file with the table `[access]` and nothing else.

    Raises:
        ConfigError: The file is missing or wrong; one line that says where.
    """
    import tomllib  # noqa: PLC0415  # an agent's file is read elsewhere; an agent has little memory

    where = f"access file {path}"
    try:
        file = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where}: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where}: not TOML: {error}") from error
    others = ", ".join(key for key in file if key != "access")
    if others or not isinstance(file.get("access"), Mapping):
        found = f"; it has {others}" if others else ""
        raise ConfigError(f"{where}: expected a table [access], and nothing beside it{found}")
    return parse_access(file["access"], f"{where}: access")


def _own_roles(given: object, where: str) -> dict[str, tuple[str, ...]]:
    if not isinstance(given, Mapping):
        raise ConfigError(f'{where}: expected a table of roles, such as gardener = ["water"]')
    for name in given:
        if name in ROLES or not name.strip():
            raise ConfigError(f"{where}.{name}: {', '.join(ROLES)} are there already; choose another name")
    return {name: _globs(globs, f"{where}.{name}") for name, globs in given.items()}


def _grants(who: str, given: object, known: Collection[str], where: str) -> Iterator[Grant]:
    for each in given if isinstance(given, list) else [given]:
        rules = {"role": each} if isinstance(each, str) else each
        if not isinstance(rules, Mapping):
            raise ConfigError(f'{where}: expected a role, or a table such as {{ role = "operator" }}')
        yield _grant(who, rules, known, where)


def _grant(who: str, rules: Mapping[str, Any], known: Collection[str], where: str) -> Grant:
    for key in rules:
        if key not in _GRANT_KEYS:
            raise ConfigError(f"{where}: unknown key {key!r}{_near(key, _GRANT_KEYS)}")
    role = rules.get("role")
    if not isinstance(role, str):
        raise ConfigError(f"{where}: role is missing; there is {', '.join(known)}")
    if role not in known:
        raise ConfigError(f"{where}: {_no_role(role, known)}")
    globs = {key: _globs(rules[key], f"{where}: {key}") for key in ("devices", "commands") if key in rules}
    try:
        return Grant(who=who, role=role, **globs)
    except InvalidError as error:
        raise ConfigError(f"{where}: {error}") from error


def _globs(given: object, where: str) -> tuple[str, ...]:
    globs = [given] if isinstance(given, str) else given
    if not isinstance(globs, list) or not globs or not all(isinstance(each, str) and each for each in globs):
        raise ConfigError(f'{where}: expected names or globs, such as ["valve/*"]')
    return tuple(globs)


def _account_or_domain(text: str) -> str:
    if "/" in text:
        raise InvalidError(
            f"{text!r}: a role is given to an account, not to one of its sessions; drop the /…"
        )
    local, _, domain = text.rpartition("@")
    if "*" in domain or local == "*":
        raise InvalidError(
            f"{text!r}: a role is given to one account or one domain, and a glob is neither;"
            " name the domain, such as example.org, for all of its accounts"
        )
    try:
        return bare_jid(text) if "@" in text else bare_jid(f"any@{text}").partition("@")[2]
    except InvalidError:
        raise InvalidError(f"{text!r}: expected name@domain, or a domain such as example.org") from None


def _fits(name: str, globs: Sequence[str]) -> bool:
    # In a glob of ours a bracket means itself.
    return any(glob == "*" or fnmatchcase(name, glob.replace("[", "[[]")) for glob in globs)


def _told(held: AbstractSet[str]) -> str:
    """Roles for people, without those that a higher one of them holds, too."""
    highest = [role for role in ROLES if role in held][-1:]
    return ", ".join([*highest, *sorted(held - set(ROLES))])


def _rank(role: str) -> int:
    """Where a role stands; one's own stand with observers."""
    return ROLES.index(role) if role in ROLES else 0


def _no_role(role: str, known: Collection[str]) -> str:
    return f"no role {role!r}; there is {', '.join(known)}{_near(role, known)}"


def _near(given: str, known: Collection[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415  # for errors alone; an agent has little memory

    close = get_close_matches(given.lower(), known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
