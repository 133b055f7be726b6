"""Checks of what a server offers, with what each thing means for iotxmpp."""

import secrets
from collections.abc import Awaitable, Callable
from typing import Final

from iotxmpp.account import Account
from iotxmpp.addresses import DeviceId, DeviceNodes, NodeAddress, domain
from iotxmpp.doctor.finding import Finding, advice, fault, ok
from iotxmpp.doctor.recipes import ServerName, recipe, server_name
from iotxmpp.errors import NotFoundError, StanzaError
from iotxmpp.xmpp import survey
from iotxmpp.xmpp.survey import SurveyLink

ARCHIVE = "urn:xmpp:mam:2"
LEAST_BYTES = 10_000
"""RFC 6120 section 13.12: no server may take less."""

_NEEDED = {"access_model": "whitelist", "publish_model": "publishers"}
_USED = ("persist_items", "max_items", "notification_type", "send_last_published_item", "deliver_payloads")

Check = Callable[[], Awaitable[list[Finding]]]


class ServerChecks:
    """The checks of one session.

    Args:
        link: An open link.
        account: Whose link it is.
        device: The device whose account it is; None for an account that is no device's.
    """

    NAMES: Final = (
        "software",
        "stream-management",
        "limits",
        "admin",
        "pubsub",
        "node-config",
        "node-creation",
        "nodes",
        "presence",
        "commands",
        "archive",
        "not-needed",
    )
    """The checks' names, in the order in which they are run."""

    def __init__(self, link: SurveyLink, account: Account, device: DeviceId | None) -> None:
        self._link = link
        self._account = account
        self._device = device
        self._server: ServerName = ""
        self._administers: bool | None = None
        self._has_pubsub = True

    def checks(self) -> dict[str, Check]:
        """The checks by name, in the order in which they are run."""
        works = (
            *(self.software, self.management, self.limits, self.administration, self.pubsub),
            *(self.node_config, self.creation, self.nodes, self.presence, self.commands),
            *(self.archive, self.not_needed),
        )
        return dict(zip(self.NAMES, works, strict=True))

    def _recipe(self, what: str) -> tuple[str, ...]:
        service = self._account.service
        return recipe(what, self._server, service=service, domain=domain(self._account.jid))

    async def software(self) -> list[Finding]:
        """Which server it is."""
        told = await survey.entity(self._link, domain(self._account.jid))
        self._server = server_name(told.names)
        return [
            ok(f"the server is {self._server or ' '.join(told.names) or 'one that does not tell its name'}")
        ]

    async def management(self) -> list[Finding]:
        """XEP-0198."""
        stream = self._link.stream()
        fix = self._recipe("management")
        if not stream.managed:
            why = "after each cut the device logs in anew, and presence and messages on their way are lost"
            return [advice("no stream management (XEP-0198)", why, *fix)]
        if not stream.resumable:
            why = "what is sent is acknowledged, but after each cut the device logs in anew"
            return [advice("stream management without resumption (XEP-0198)", why, *fix)]
        return [ok("stream management with resumption (XEP-0198)")]

    async def limits(self) -> list[Finding]:
        """XEP-0478."""
        stream = self._link.stream()
        if stream.most_bytes is None:
            why = "most take 256 KB of a client; a pack of readings is smaller than that by far"
            return [ok("the server does not tell its limits (XEP-0478)", why)]
        if stream.most_bytes < LEAST_BYTES:
            why = "packs of readings and long answers of commands are larger"
            return [
                fault(f"the server takes stanzas of {stream.most_bytes} bytes", why, *self._recipe("limits"))
            ]
        idle = f", and silence of {stream.idle_seconds} s" if stream.idle_seconds is not None else ""
        return [ok(f"the server takes stanzas of {stream.most_bytes} bytes{idle} (XEP-0478)")]

    async def administration(self) -> list[Finding]:
        """XEP-0133."""
        self._administers = await survey.is_administrator(self._link)
        if self._administers and self._device is not None:
            why = "who takes the device takes the server: give it an account of its own"
            return [
                fault("the device's account is an administrator's", why, f"iotxmpp device add {self._device}")
            ]
        if self._administers:
            return [ok("this account may create accounts (XEP-0133): `iotxmpp device add` works")]
        if self._device is not None or self._account.name != "admin":
            return [ok("this account is no administrator's (XEP-0133), and needs not be")]
        why = "`iotxmpp device add` creates accounts by XEP-0133"
        return [fault("this account may not create accounts", why, *self._recipe("commands"))]

    async def pubsub(self) -> list[Finding]:
        """XEP-0060: the service."""
        service, fix = self._account.service, self._recipe("pubsub")
        why = "readings are published there; `service` in the account's file names another"
        try:
            told = await survey.entity(self._link, service)
        except StanzaError as error:
            self._has_pubsub = False
            return [fault(f"no PubSub service at {service} ({error.condition})", why, *fix)]
        if "pubsub/service" not in told.identities:
            self._has_pubsub = False
            return [fault(f"{service} is no PubSub service", why, *fix)]
        return [ok(f"PubSub service at {service} (XEP-0060)")]

    async def node_config(self) -> list[Finding]:
        """XEP-0060: what its nodes can be."""
        if not self._has_pubsub:
            return []
        try:
            options = await survey.node_options(self._link, self._account.service)
        except StanzaError as error:
            why = "it cannot be seen from this account; `iotxmpp device add` tells if it is not enough"
            return [ok(f"how nodes can be set up is not told ({error.condition})", why)]
        found = []
        for name, value in _NEEDED.items():
            if value not in options.get(f"pubsub#{name}", ()):
                why = "nodes cannot be closed: everybody could read, or publish for, every device"
                fix = ("update the server: Prosody 0.12 or ejabberd 23.01 have it",)
                found.append(fault(f"nodes have no {name} {value}", why, *fix))
        missing = [name for name in _USED if f"pubsub#{name}" not in options]
        if missing:
            why = "nodes work without, and keep or send more than they have to"
            found.append(advice(f"nodes have no {', '.join(missing)}", why))
        if self._server == "ejabberd" and "pubsub#itemreply" not in options:
            found.append(advice("items do not say who published them", "", *self._recipe("stamp")))
        return found or [
            ok("nodes can be closed, sized and quiet: " + ", ".join((*_NEEDED.values(), *_USED)))
        ]

    async def creation(self) -> list[Finding]:
        """Who may create nodes."""
        if not self._has_pubsub:
            return []
        name = f"iotxmpp-doctor/{secrets.token_hex(6)}"
        may = await survey.may_create_nodes(self._link, self._account.service, name)
        if self._administers is None:
            self._administers = await survey.is_administrator(self._link)
        if may and not self._administers:
            why = "every account may create nodes, so one that is taken over can fill the server"
            return [advice("this account may create nodes", why, *self._recipe("create"))]
        if self._administers and not may:
            why = "`iotxmpp device add` creates a device's nodes"
            return [fault("this administrator may not create nodes", why, *self._recipe("create"))]
        return [ok("this account may create nodes" if may else "nodes are the administrator's to create")]

    async def nodes(self) -> list[Finding]:
        """Whether the device's nodes are there, and its own."""
        if not self._has_pubsub:
            return []
        if self._device is None:
            count = len(await self._link.nodes(self._account.service))
            return [ok(f"this account reads {count} nodes")]
        own = DeviceNodes(service=self._account.service, device=self._device)
        closed = [
            node.node for node in (own.readings, own.about, own.state) if not await self._may_publish(node)
        ]
        if closed:
            why = "they are not there, or another account's; readings wait on the device meanwhile"
            fix = f"iotxmpp device add {self._device} --force --account admin.toml"
            return [fault(f"the device may not publish to {', '.join(closed)}", why, fix)]
        return [ok("the device's three nodes are there, and it may publish to them")]

    async def _may_publish(self, node: NodeAddress) -> bool:
        try:
            mine = await survey.affiliations(self._link, node.service)
        except NotFoundError:
            return False
        except StanzaError:  # Prosody does not tell them
            return await survey.may_publish(self._link, node)
        return mine.get(node.node) in ("owner", "publisher", "publish-only")

    async def presence(self) -> list[Finding]:
        """Who sees whether the device is there."""
        if self._device is None:
            return [ok("presence is looked at for devices alone")]
        if not self._account.controllers:
            why = "nobody may call the device or see it"
            fix = f'controllers = ["controller@{domain(self._account.jid)}"] in the account\'s file'
            return [advice("the account's file names no controllers", why, fix)]
        seeing = await survey.followers(self._link)
        blind = [jid for jid in self._account.controllers if jid not in seeing]
        if blind:
            why = "a controller asks for it when it first runs, and the agent says yes while it runs"
            fix = "iotxmpp controller run"
            return [advice(f"not seeing the device's presence yet: {', '.join(blind)}", why, fix)]
        return [ok(f"the device's presence is seen by {', '.join(self._account.controllers)}")]

    async def commands(self) -> list[Finding]:
        """XEP-0050, as other clients use it."""
        told = await survey.entity(self._link, domain(self._account.jid))
        if "http://jabber.org/protocol/commands" in told.features:
            return [
                ok("the server has commands of its own (XEP-0050); those of devices pass through it anyway")
            ]
        why = "calls of devices work; `iotxmpp device add` does not, as it uses XEP-0133"
        return [advice("the server has no commands of its own (XEP-0050)", why, *self._recipe("commands"))]

    async def archive(self) -> list[Finding]:
        """XEP-0313."""
        told = await survey.entity(self._link, self._account.jid)
        if ARCHIVE in told.features:
            why = "it may keep what people write to devices, with the arguments; readings are in none"
            return [ok("the server has an archive of messages (XEP-0313)", why)]
        why = "none is needed: readings wait on the device until the controller has stored them"
        return [ok("the server has no archive of messages (XEP-0313)", why)]

    async def not_needed(self) -> list[Finding]:
        """What people's clients want, and devices do not."""
        return [ok("not needed, on or off: client state indication (XEP-0352), carbons (XEP-0280)")]
