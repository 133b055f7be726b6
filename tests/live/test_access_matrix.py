"""The golden matrix: who may do what with a device and at its controller's desk, on both real servers."""

import asyncio
import json
import re
from collections.abc import Awaitable
from contextlib import suppress
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement

import pytest

from iotxmpp.addresses import bare_jid
from iotxmpp.commands import COMMAND_TAG, call_element, cancel_element, command_error, read_reply
from iotxmpp.controller.desk_client import ask_desk, call_by_desk
from iotxmpp.delivery import Ack
from iotxmpp.errors import CommandCancelledError, ForbiddenError, NotAllowedError, NotFoundError, StanzaError
from iotxmpp.link import COMMANDS, Message
from iotxmpp.serving.auditcheck import entries, verify
from iotxmpp.twin import Desired
from iotxmpp.xmpp import XmppLink
from tests.live.matrix_house import House, Person, inhabited, running
from tests.live.site import PATIENCE, Site, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

# The commands ask for: look an observer, water and vent an operator, reset a maintainer. A gardener may call
# water and look alone. A friend is a contact of the device from before, to whom no role was ever
# given: the device takes from it what it could see.
GOLDEN = """
                           stranger  friend  observer  gardener  operator  maintainer  controller
see its presence           -         -       ✓         ✓         ✓         ✓           ✓
list look                  -         -       ✓         ✓         ✓         ✓           ✓
list water                 -         -       -         ✓         ✓         ✓           ✓
list vent                  -         -       -         -         ✓         ✓           ✓
list reset                 -         -       -         -         -         ✓           ✓
info of water              -         -       -         ✓         ✓         ✓           ✓
info of vent               -         -       -         -         ✓         ✓           ✓
info of reset              -         -       -         -         -         ✓           ✓
chat status                -         -       ✓         ✓         ✓         ✓           ✓
chat water                 -         -       -         ✓         ✓         ✓           ✓
chat vent                  -         -       -         -         ✓         ✓           ✓
json look                  -         -       ✓         ✓         ✓         ✓           ✓
json water                 -         -       -         ✓         ✓         ✓           ✓
json vent                  -         -       -         -         ✓         ✓           ✓
json reset                 -         -       -         -         -         ✓           ✓
form water                 -         -       -         ✓         ✓         ✓           ✓
form vent                  -         -       -         -         ✓         ✓           ✓
form reset                 -         -       -         -         -         ✓           ✓
cancel another's call      -         -       -         -         -         -           -
send desired               -         -       -         -         -         -           ✓
send an ack                -         -       -         -         -         -           ✓
see the controller         -         -       ✓         ✓         ✓         ✓           ✓
desk water                 -         -       -         ✓         ✓         ✓           ✓
desk vent                  -         -       -         -         ✓         ✓           ✓
desk reset                 -         -       -         -         -         ✓           ✓
desk cancel another's      -         -       -         -         ✓         ✓           ✓
desk show the twin         -         -       ✓         ✓         ✓         ✓           ✓
desk set the twin          -         -       -         -         -         ✓           ✓
"""

ROLES = GOLDEN.split("\n", 2)[1].split()

Table = dict[tuple[str, str], bool]
"""Whether somebody could do something, by the operation and the role."""

DISCO = "http://jabber.org/protocol/disco#"
FORM = "{jabber:x:data}"
DOORS = {
    "chat": "chat",
    "machine": "json",
    "form": "form",
    "controller": "desk",
    "twin": "send desired",
    "acks": "send an ack",
}
"""The rows' words for the doors of the audit log."""

AT_DESK = {
    "desk water": ("call", "water"),
    "desk vent": ("call", "vent"),
    "desk reset": ("call", "reset"),
    "desk cancel another's": ("cancel", ""),
    "desk show the twin": ("twin", ""),
    "desk set the twin": ("desire", ""),
}
"""The desk's command for each row, and the device's."""

NOBODY = ("stranger", "friend")
COLLECTOR = 7
"""The percentage that the collector's own account desires."""

SERVED = ("look", "water", "vent", "reset")


def golden() -> Table:
    """The table above."""
    _, *lines = GOLDEN.strip("\n").splitlines()
    rows = [re.split(r"\s{2,}", line.strip()) for line in lines]
    return {
        (what, role): cell == "✓" for what, *cells in rows for role, cell in zip(ROLES, cells, strict=True)
    }


def differing(found: Table) -> list[str]:
    """The cells that are not as they should be, for people."""
    wanted = golden()
    assert found.keys() == wanted.keys()
    return [
        f"{role}: {what}: {'✓' if found[what, role] else '-'}"
        for what, role in wanted
        if found[what, role] != wanted[what, role]
    ]


async def refused(work: Awaitable[object]) -> bool:
    """Whether it was refused to who asked."""
    try:
        await work
    except (NotAllowedError, ForbiddenError, NotFoundError):
        return True
    return False


async def disco(who: Person, to: str, what: str, node: str) -> Element:
    answer = await who.link.call(to, Element(f"{{{DISCO}{what}}}query", {"node": node}), kind="get")
    assert answer is not None
    return answer


async def discover(house: House, who: Person, found: Table) -> None:
    """What a client shows of the device's commands."""
    try:
        listed = {each.get("node") for each in await disco(who, house.device, "items", COMMANDS)}
    except (ForbiddenError, NotFoundError):
        listed = set()
    for name in SERVED:
        found[f"list {name}", who.role] = name in listed
    for name in SERVED[1:]:
        found[f"info of {name}", who.role] = not await refused(disco(who, house.device, "info", name))


async def call_at_both_doors(house: House, who: Person, found: Table) -> None:
    """What a program and a client's forms can call."""
    for name in SERVED:
        what = f"json {name}"
        found[what, who.role] = not await refused(machine(who, house.device, name, f"{who.role} {what}"))
    for name in SERVED[1:]:
        what = f"form {name}"
        found[what, who.role] = not await refused(fill_in(who, house.device, name, f"{who.role} {what}"))


async def machine(who: Person, device: str, name: str, note: str) -> None:
    await called(who.link, device, call_element(name, {"note": note}, id=note.replace(" ", "-")))


async def called(link: XmppLink, device: str, element: Element) -> object:
    try:
        return read_reply(await link.call(device, element))
    except StanzaError as error:
        raise command_error(error) from error


async def fill_in(who: Person, device: str, name: str, note: str) -> None:
    """Opens a command's form, and submits it, as a client that knows nothing of us."""
    page = await who.link.call(device, Element(COMMAND_TAG, {"node": name, "action": "execute"}))
    assert page is not None
    assert (page.get("status"), page.find(f"{FORM}x/{FORM}field[@var='note']") is not None) == (
        "executing",
        True,
    )
    submitted = Element(COMMAND_TAG, {"node": name, "sessionid": page.get("sessionid", "")})
    form = SubElement(submitted, f"{FORM}x", {"type": "submit"})
    SubElement(SubElement(form, f"{FORM}field", {"var": "note"}), f"{FORM}value").text = note
    done = await who.link.call(device, submitted)
    assert done is not None
    assert done.get("status") == "completed"


async def write(house: House, who: Person, found: Table) -> None:
    """Writes to the device as to a person; the answers come when they come."""
    for text in ("status", f"water note='{who.role} chat water'", f"vent note='{who.role} chat vent'"):
        await who.link.send(house.device, Message(text=text))


async def pose_as_collector(house: House, who: Person, found: Table) -> None:
    """Sends what the device takes from its collector alone."""
    percent = COLLECTOR if who.role == "controller" else 66
    desired = Desired(lineage=f"of-{who.role}", version=1, changes={"lamp": percent})
    found["send desired", who.role] = not await refused(who.link.call(house.device, desired.element()))
    ack = Ack(upto={}).element()
    found["send an ack", who.role] = not await refused(who.link.call(house.device, ack))


async def ask_at_desk(house: House, who: Person, found: Table) -> None:
    """What the controller does for people, at the session that they saw or guessed."""
    for name in SERVED[1:]:
        what = f"desk {name}"
        call = call_by_desk(
            who.link, house.desk, house.id, name, {"note": f"{who.role} {what}"}, ttl=PATIENCE
        )
        found[what, who.role] = not await refused(call)
    given = {"device": house.id}
    shown = ask_desk(who.link, house.desk, "twin", given)
    found["desk show the twin", who.role] = not await refused(shown)
    change = ask_desk(who.link, house.desk, "desire", {**given, "settings": {"lamp": 100}})
    found["desk set the twin", who.role] = not await refused(change)


async def cancel_anothers(house: House, found: Table) -> None:
    """Behind a command that runs, a neighbour's wait: at the device, and in the controller's queue."""
    waiting, handle = {}, house.controller.device(house.id)
    by = bare_jid(house.neighbour.jid)
    blocking = await handle.queue("hold", {}, ttl=PATIENCE, by=by)
    await until(lambda: ("hold", "") in house.ran, "the command that the others wait for")
    calls = running(house.agent)._commands._executor._calls
    for who in house.people:
        element = call_element("hold", {}, id=f"waits-{who.role}")
        waiting[who.role] = asyncio.create_task(called(house.neighbour, house.device, element))
    await until(lambda: len(calls) == 1 + len(waiting), "the calls that wait at the device")
    for who in house.people:
        with suppress(NotAllowedError, CommandCancelledError):  # their own of that id, which there is not
            await called(who.link, house.device, cancel_element("hold", id=f"waits-{who.role}"))
        ticket = await handle.queue("vent", {"note": f"{who.role} kept"}, ttl=PATIENCE, by=by)
        with suppress(NotAllowedError):
            await ask_desk(who.link, house.desk, "cancel", {"id": ticket.id})
        found["desk cancel another's", who.role] = ticket.state == "cancelled"
    house.go.set()
    await blocking.result()
    for role, outcome in zip(
        waiting, await asyncio.gather(*waiting.values(), return_exceptions=True), strict=True
    ):
        assert outcome is None or isinstance(outcome, CommandCancelledError), outcome
        found["cancel another's call", role] = outcome is not None


def overheard(house: House) -> Table:
    """What came by itself, so far: presence, and answers to what was written."""
    found: Table = {}
    for who in house.people:
        found["see its presence", who.role] = who.sees(house.device)
        found["see the controller", who.role] = who.sees(house.desk)
        found["chat status", who.role] = who.was_told(house.device, "online, up for")
        for name in ("water", "vent"):
            found[f"chat {name}", who.role] = who.was_told(house.device, f"did {name}")
    return found


async def tried(house: House) -> Table:
    """Everybody tries everything."""
    found: Table = {}
    for who in house.people:
        for step in (write, discover, call_at_both_doors, pose_as_collector, ask_at_desk):
            await step(house, who, found)
    await cancel_anothers(house, found)
    # What may come does so soon; what must not come had all the time above.
    with suppress(AssertionError):
        await until(lambda: not differing({**found, **overheard(house)}), "what comes by itself", seconds=3)
    return {**found, **overheard(house)}


CALLS = re.compile(r"(chat|json|form|desk) (look|water|vent|reset)")


async def test_the_golden_matrix(site: Site) -> None:
    async with inhabited(site, ROLES) as house:
        found = await tried(house)
        jids = {each.role: bare_jid(each.link.jid) for each in house.people}
    assert differing(found) == []
    called = {(what, role): cell for (what, role), cell in golden().items() if CALLS.fullmatch(what)}
    # What was refused did not run, and what was not refused did.
    ran = {note for name, note in house.ran if name in SERVED and "kept" not in note}
    assert ran == {f"{role} {what}" for (what, role), cell in called.items() if cell}
    assert {percent for name, percent in house.ran if name == "lamp"} <= {"0", str(COLLECTOR), "100"}
    check_device_log(site.folder / "outbox.audit.log", called, jids)
    check_desk_log(site.folder / "controller.audit.log", jids)


def check_device_log(path: Path, called: Table, jids: dict[str, str]) -> None:
    """Each call and each refusal of somebody with a role is there; of the others, the first few a minute."""
    assert verify(path).ok
    lines = list(entries(path))
    told = {(each["by"], DOORS.get(each["door"]), each["command"], each["result"]) for each in lines}
    for (what, role), cell in called.items():
        by, (door, name) = jids[role], what.split()
        if cell:
            assert {(by, door, name, result) for result in ("started", "done")} <= told, (role, what)
        elif door != "desk" and role not in NOBODY:  # what the desk refuses does not reach the device
            assert (by, door, name, "refused") in told, (role, what)
    for (what, role), cell in golden().items():
        if what in {"send desired", "send an ack"} and role not in NOBODY and not cell:
            assert (jids[role], what, "", "refused") in told, (role, what)
    assert {(jids["controller"], "send desired", "", result) for result in ("started", "done")} <= told
    for role in NOBODY:
        theirs = [each for each in lines if each["who"].startswith(jids[role] + "/")]
        assert theirs
        assert {each["result"] for each in theirs} == {"refused"}


def check_desk_log(path: Path, jids: dict[str, str]) -> None:
    """Whoever asked at the desk, and for what, and whether they got it."""
    assert verify(path).ok
    asked = {(each["id"], each["command"]): each["arguments"] for each in entries(path) if each["arguments"]}
    told = {
        (each["by"], each["command"], json.loads(given).get("command", ""), each["result"])
        for each in entries(path)
        if (given := asked.get((each["id"], each["command"]), ""))
    }
    for (what, role), cell in golden().items():
        if what.startswith("desk ") and role not in NOBODY:
            expected = (jids[role], *AT_DESK[what], "done" if cell else "rejected")
            assert expected in told, (role, what)
    passed_over = [each for each in entries(path) if each["result"] == "refused"]
    assert passed_over
    assert all(each["who"].startswith((jids["stranger"], jids["friend"])) for each in passed_over)
