"""Opens a controller's desk on its link: at the machine's door and at the person's."""

import asyncio
import logging
import time
from contextlib import AsyncExitStack
from pathlib import Path
from xml.etree.ElementTree import Element

from iotxmpp.commands import CALL_NAMESPACE, COMMAND_TAG, COMMANDS_NAMESPACE
from iotxmpp.controller.desk import NAME, Desk
from iotxmpp.errors import IotxmppError, StanzaError, StoreError, stanza_error
from iotxmpp.fleet import SEEK_TAG, controller_element
from iotxmpp.link import Link, Message, Request
from iotxmpp.serving.audit import Audit, AuditLog, MemoryAudit
from iotxmpp.serving.execution import Executor
from iotxmpp.serving.server import CommandServer

log = logging.getLogger(__name__)

_FORMS = "jabber:x:data"
_STRANGER = "this controller gave you no role; whoever runs it can do so under [access]"


async def opened_audit(stack: AsyncExitStack, path: Path | None) -> Audit | None:
    """The controller's audit log, until the stack closes it.

    Args:
        stack: Closes it.
        path: The file; None for a log in memory.

    Returns:
        The log; None where it cannot be opened, because another process writes to it for instance. That is
        logged, and the controller does without a desk: readings matter more.
    """
    if path is None:
        return MemoryAudit()
    try:
        audit = await asyncio.to_thread(AuditLog, path, now=time.time)
    except StoreError as error:
        log.error("nobody can call commands through this controller: %s", error)  # noqa: TRY400  # it says all
        return None
    stack.callback(audit.close)
    return audit


async def open_desk(stack: AsyncExitStack, link: Link, desk: Desk, audit: Audit) -> None:
    """Serves a desk's commands, and answers who seeks it, until the stack takes it back.

    The desk needs no journal: its commands may be called twice, `call` by the id of what it queues.

    Args:
        stack: Takes it all back.
        link: The controller's link.
        desk: The desk.
        audit: Where who did what is written down; nothing runs that cannot be written down.

    Raises:
        InvalidError: Somebody serves commands on this link already.
    """
    executor = Executor(None, device=NAME, audit=audit, send=link.send, known=desk.access.account_or_domain)
    await executor.open()
    stack.push_async_callback(executor.close)
    server = CommandServer(desk.commands, desk.door(), executor, device=NAME)

    async def answer(request: Request) -> Element:
        try:
            return await asyncio.create_task(server.answer(request), context=desk.asked_by(request.sender))
        except StanzaError as error:
            known = desk.admits(request.sender)
            raise stanza_error(error.condition, _told(error.text, known=known), error.detail) from error

    async def tell(message: Message) -> None:
        """Says to whoever may come to the desk that it is here; nobody else learns that."""
        if any(each.tag == SEEK_TAG for each in message.extensions) and desk.admits(message.sender):
            here = Message(kind="headline", extensions=(controller_element(),))
            try:
                await link.send(message.sender, here)
            except IotxmppError as error:
                log.debug("%s was not told of the desk: %s", message.sender, error)

    stack.callback(link.serve(COMMAND_TAG, answer))
    stack.callback(link.on_message(tell))
    stack.callback(link.list_commands(server.entries))
    link.advertise(COMMANDS_NAMESPACE, CALL_NAMESPACE, _FORMS)
    link.admit(desk.admits)


def _told(text: str, *, known: bool) -> str:
    """What a refusal says: whoever serves commands calls itself a device."""
    return text.replace("this device", "this controller") if known else _STRANGER
