"""Creates accounts (XEP-0133) and nodes (XEP-0060), by an administrator's account, on any server."""

from collections.abc import Mapping
from contextlib import suppress
from xml.etree.ElementTree import Element, SubElement

from iotxmpp.addresses import NodeAddress, bare_jid, domain
from iotxmpp.errors import ConflictError, IotxmppError, NotFoundError, StanzaError
from iotxmpp.link import Link
from iotxmpp.provisioning import NodePolicy
from iotxmpp.xmpp.forms import FORM, fields_of, submit
from iotxmpp.xmpp.patience import call_patiently
from iotxmpp.xmpp.stanzas import DISCO_ITEMS, PUBSUB, PUBSUB_OWNER

COMMANDS = "http://jabber.org/protocol/commands"
ADMIN = "http://jabber.org/protocol/admin"
NODE_CONFIG = "http://jabber.org/protocol/pubsub#node_config"


class XmppProvisioner:
    """The `Provisioner` of a real server.

    Args:
        link: An open link of an administrator of the server and of its PubSub service.
    """

    def __init__(self, link: Link) -> None:
        self._link = link

    async def check_administrator(self) -> None:
        """Starts XEP-0133's `add-user` and cancels it, to learn whether the link's account may.

        Raises:
            ForbiddenError: It is no administrator's.
        """
        server = domain(self._link.jid)
        stage = await self._start(server, "add-user")
        await self._link.call(server, _command("add-user", "cancel", sessionid=stage.get("sessionid", "")))

    async def create_account(self, jid: str, password: str, *, renew: bool = False) -> None:
        """XEP-0133 section 4.1; an account to be renewed gets the password by `change-user-password`."""
        jid = bare_jid(jid)
        values = {"accountjid": jid, "password": password, "password-verify": password}
        try:
            await self._administer(jid, "add-user", values)
        except StanzaError as error:
            if not _says_that_it_exists(error):
                raise
            if not renew:
                raise ConflictError("conflict", f"the account {jid} exists") from error
            await self._administer(jid, "change-user-password", {"accountjid": jid, "password": password})

    async def delete_account(self, jid: str) -> None:
        """XEP-0133 section 4.2."""
        jid = bare_jid(jid)
        try:
            await self._administer(jid, "delete-user", {"accountjids": [jid]})
        except NotFoundError:
            return

    async def create_node(self, node: NodeAddress, policy: NodePolicy) -> None:
        """XEP-0060 sections 8.1, 8.2, 8.8 and 8.9.

        The nodes of a device stay readable to nobody until they are configured: no one else knows of them.
        """
        pubsub = Element(f"{{{PUBSUB}}}pubsub")
        SubElement(pubsub, f"{{{PUBSUB}}}create", {"node": node.node})
        with suppress(ConflictError):  # one that exists is brought to the policy below
            await call_patiently(self._link, node.service, pubsub)
        await self._configure(node, policy)
        await self._unsubscribe(node, keep=(*policy.readers, policy.publisher))
        await self._affiliate(node, policy)
        await self._subscribe(node, policy)

    async def delete_node(self, node: NodeAddress) -> None:
        """XEP-0060 section 8.4, once nobody is subscribed.

        Prosody 0.12 keeps the subscriptions of a deleted node, and then answers nobody who asks for theirs.
        """
        pubsub, _ = _owner("delete", node)
        try:
            await self._unsubscribe(node, keep=())
            await call_patiently(self._link, node.service, pubsub)
        except NotFoundError:
            return

    async def nodes(self, service: str) -> list[NodeAddress]:
        """All nodes of a service."""
        answer = await call_patiently(self._link, service, Element(f"{{{DISCO_ITEMS}}}query"), kind="get")
        names = (child.get("node") for child in answer) if answer is not None else iter(())
        return [NodeAddress(service=service, node=name) for name in names if name]

    async def _configure(self, node: NodeAddress, policy: NodePolicy) -> None:
        """Sets of the wanted options those that this service has."""
        pubsub, configure = _owner("configure", node)
        answer = await call_patiently(self._link, node.service, pubsub, kind="get")
        form = answer.find(f"{{{PUBSUB_OWNER}}}configure/{FORM}") if answer is not None else None
        offered = fields_of(form) if form is not None else set()
        wanted = {
            "pubsub#access_model": "whitelist",
            "pubsub#publish_model": "publishers",
            "pubsub#persist_items": "1" if policy.keep else "0",
            "pubsub#max_items": str(max(policy.keep, 1)),
            "pubsub#deliver_payloads": "1",
            "pubsub#send_last_published_item": "never",
            "pubsub#notify_retract": "0",
            "pubsub#notification_type": "headline",
            "pubsub#itemreply": "publisher",
        }
        required = {"pubsub#access_model", "pubsub#publish_model"}
        if missing := required - offered:
            raise IotxmppError(
                f"{node.service} cannot close its nodes: it has no {', '.join(sorted(missing))}"
            )
        pubsub, configure = _owner("configure", node)
        configure.append(submit(NODE_CONFIG, {name: wanted[name] for name in wanted if name in offered}))
        await call_patiently(self._link, node.service, pubsub)

    async def _affiliate(self, node: NodeAddress, policy: NodePolicy) -> None:
        """XEP-0060 section 8.9: the publisher, the readers, and nobody who was there before."""
        wanted = dict.fromkeys(policy.readers, "member") | {policy.publisher: "publisher"}
        for entry in await self._owned(node, "affiliation"):
            if entry.get("affiliation") in ("member", "publisher", "publish-only"):
                wanted.setdefault(entry.get("jid", ""), "none")
        await self._own(node, "affiliation", wanted)

    async def _unsubscribe(self, node: NodeAddress, *, keep: tuple[str, ...]) -> None:
        """XEP-0060 section 8.8, before they lose their access: Prosody refuses the other order."""
        present = [entry.get("jid", "") for entry in await self._owned(node, "subscription")]
        stale = [jid for jid in present if jid.partition("/")[0] not in keep]
        await self._own(node, "subscription", dict.fromkeys(stale, "none"))

    async def _subscribe(self, node: NodeAddress, policy: NodePolicy) -> None:
        """XEP-0060 section 8.8: subscribes the readers, so that they learn of the node."""
        await self._own(node, "subscription", dict.fromkeys(policy.readers, "subscribed"))

    async def _owned(self, node: NodeAddress, what: str) -> list[Element]:
        """A node's affiliations or subscriptions, as its owner sees them."""
        pubsub, _ = _owner(f"{what}s", node)
        answer = await call_patiently(self._link, node.service, pubsub, kind="get")
        return answer.findall(f".//{{{PUBSUB_OWNER}}}{what}") if answer is not None else []

    async def _own(self, node: NodeAddress, what: str, by_jid: Mapping[str, str]) -> None:
        """Sets a node's affiliations or subscriptions."""
        pubsub, entries = _owner(f"{what}s", node)
        for jid, value in by_jid.items():
            SubElement(entries, f"{{{PUBSUB_OWNER}}}{what}", {"jid": jid, what: value})
        if len(entries):
            await call_patiently(self._link, node.service, pubsub)

    async def _administer(self, jid: str, command: str, values: Mapping[str, str | list[str]]) -> None:
        """Runs one of XEP-0133's commands: start it, fill in its form."""
        server = domain(jid)
        stage = await self._start(server, command)
        finish = _command(command, "complete", sessionid=stage.get("sessionid", ""))
        finish.append(submit(ADMIN, values))
        done = await self._link.call(server, finish)
        note = done.find(f"{{{COMMANDS}}}note") if done is not None else None
        if note is not None and note.get("type") == "error":
            text = note.text or "no reason given"
            condition = "item-not-found" if "not exist" in text.lower() else "undefined-condition"
            raise (
                NotFoundError(condition, text)
                if condition == "item-not-found"
                else StanzaError(condition, text)
            )

    async def _start(self, server: str, command: str) -> Element:
        """The first stage of one of XEP-0133's commands."""
        stage = await self._link.call(server, _command(command, "execute"))
        if stage is None or stage.get("status") != "executing":
            raise IotxmppError(f"{server} does not offer {command} as XEP-0133 has it")
        return stage


def _command(command: str, action: str, **more: str) -> Element:
    return Element(f"{{{COMMANDS}}}command", {"node": f"{ADMIN}#{command}", "action": action, **more})


def _says_that_it_exists(error: StanzaError) -> bool:
    """By `conflict` from ejabberd, by the words of a note from Prosody."""
    return isinstance(error, ConflictError) or "already exists" in error.text.lower()


def _owner(action: str, node: NodeAddress) -> tuple[Element, Element]:
    pubsub = Element(f"{{{PUBSUB_OWNER}}}pubsub")
    return pubsub, SubElement(pubsub, f"{{{PUBSUB_OWNER}}}{action}", {"node": node.node})
