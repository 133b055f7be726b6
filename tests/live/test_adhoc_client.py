"""Commands by slixmpp's own ad-hoc client (XEP-0050, XEP-0004), as it comes: a library that is not ours."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Literal
from xml.etree.ElementTree import Element

import pytest
import pytest_asyncio
from slixmpp import JID, ClientXMPP
from slixmpp.exceptions import IqError

from iotxmpp.access import Access, Grant
from iotxmpp.serving.sessions import MOST_EACH
from tests.live.bare_client import bare_client
from tests.live.conftest import Administered
from tests.live.hall import Switched, hall_agent
from tests.live.site import PATIENCE, Site

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLUGINS = ("xep_0004", "xep_0030", "xep_0050")
COMMANDS = "{http://jabber.org/protocol/commands}"
Action = Literal["next", "prev", "complete", "cancel"]


class Walk:
    """One command, walked through by slixmpp's own workflow."""

    def __init__(self, client: ClientXMPP, device: str, name: str) -> None:
        self._client = client
        self._device = device
        self._name = name
        self._answers: asyncio.Queue[Any] = asyncio.Queue()
        self._session: dict[str, Any] = {"next": self._take, "error": self._take}
        self.answer: Any = None

    async def start(self) -> None:
        self._adhoc.start_command(self._device, self._name, self._session)
        await self._wait()

    async def go(self, action: Action, **values: object) -> None:
        """Goes on, with the form of the last answer filled in."""
        form = None
        if values:
            form = self.answer["command"]["form"]
            form.reply()
            for name, value in values.items():
                form.get_fields()[name]["value"] = value
        self._session["payload"] = form
        if action == "complete":
            self._adhoc.complete_command(self._session)
        elif action == "cancel":
            self._adhoc.cancel_command(self._session)
        else:
            self._adhoc.continue_command(self._session, direction=action)
        await self._wait()

    @property
    def status(self) -> str:
        return str(self.answer["command"]["status"])

    @property
    def session_id(self) -> str:
        return str(self.answer["command"]["sessionid"])

    @property
    def actions(self) -> set[str]:
        return set(self.answer["command"]["actions"])

    @property
    def notes(self) -> list[tuple[str, str]]:
        return list(self.answer["command"]["notes"])

    @property
    def values(self) -> dict[str, Any]:
        """The fields of the form, as slixmpp reads them."""
        return dict(self.answer["command"]["form"].get_values())

    @property
    def _adhoc(self) -> Any:  # noqa: ANN401  # slixmpp's plugins have no type
        return self._client.plugin["xep_0050"]

    def _take(self, answer: object, _: object) -> None:
        self._answers.put_nowait(answer)

    async def _wait(self) -> None:
        async with asyncio.timeout(PATIENCE):
            self.answer = await self._answers.get()


class Desk:
    """A session of an operator, and the device that runs."""

    def __init__(self, client: ClientXMPP, device: str, switched: list[Switched]) -> None:
        self.client = client
        self.device = device
        self.switched = switched

    async def walk(self, name: str) -> Walk:
        walk = Walk(self.client, self.device, name)
        await walk.start()
        return walk

    async def send(self, name: str, **more: Any) -> Element:  # noqa: ANN401  # slixmpp's own arguments
        """One request without the workflow."""
        adhoc: Any = self.client.plugin["xep_0050"]
        answer = await adhoc.send_command(self.device, name, timeout=PATIENCE, **more)
        element: Element = answer["command"].xml
        return element

    def form(self, **values: str) -> Any:  # noqa: ANN401  # a stanza of slixmpp
        forms: Any = self.client.plugin["xep_0004"]
        form = forms.make_form(ftype="submit")
        for name, value in values.items():
            form.add_field(var=name, value=value)
        return form


@pytest_asyncio.fixture(loop_scope="module")
async def desk(administered: Administered, site: Site) -> AsyncIterator[Desk]:
    house, ann = await site.account("house"), await site.account("ann")
    device = await site.device("hall", house)
    link = await site.link(device)
    access = Access((Grant(who=ann.jid, role="operator"),))
    agent, switched = hall_agent(device, access, link, site.folder / "outbox.db")
    async with agent, bare_client(ann, *PLUGINS) as client:
        yield Desk(client, link.jid, switched)


async def test_commands_are_listed(desk: Desk) -> None:
    adhoc: Any = desk.client.plugin["xep_0050"]
    found = await adhoc.get_commands(desk.device, timeout=PATIENCE)
    listed = {node: (jid, name) for jid, node, name in found["disco_items"]["items"]}
    assert set(listed) == {"blink", "relays", "switch", "water"}
    assert listed["switch"] == (desk.device, "Switch a relay")
    info = await desk.client.plugin["xep_0030"].get_info(JID(desk.device), "switch", timeout=PATIENCE)
    assert {(each[0], each[1], each[3]) for each in info["disco_info"]["identities"]} == {
        ("automation", "command-node", "Switch a relay")
    }


async def test_one_step(desk: Desk) -> None:
    blink = await desk.walk("blink")
    assert (blink.status, blink.values) == ("completed", {"result": "blinked"})
    switch = await desk.walk("switch")
    assert (switch.status, switch.actions) == ("executing", {"complete"})
    fields = switch.answer["command"]["form"].get_fields()
    assert {name: (field["type"], field["required"]) for name, field in fields.items()} == {
        "channel": ("text-single", True),
        "on": ("boolean", True),
        "mode": ("list-single", False),
    }
    await switch.go("complete", channel="9", on=True, mode="soft")
    assert switch.status == "executing"
    ((kind, text),) = switch.notes
    assert (kind, "more than 4" in text, desk.switched) == ("error", True, [])
    assert switch.values["channel"] == "9"
    await switch.go("complete", channel="2", on=True, mode="soft")
    assert (switch.status, switch.values) == ("completed", {"channel": "2", "on": True})
    assert switch.notes == [("info", "done")]
    assert desk.switched == [(2, True, "soft")]


async def test_steps_forth_and_back(desk: Desk) -> None:
    water = await desk.walk("water")
    assert (water.status, water.actions, set(water.values)) == ("executing", {"next"}, {"zone"})
    first = water.session_id
    await water.go("next", zone="lawn")
    assert (water.actions, water.values) == ({"prev", "complete"}, {"minutes": "10"})
    await water.go("prev", minutes="20")
    assert (water.actions, water.values) == ({"next"}, {"zone": "lawn"})
    await water.go("next", zone="beds")
    assert water.values == {"minutes": "20"}
    await water.go("complete", minutes="30")
    assert (water.status, water.session_id) == ("completed", first)
    assert water.values == {"result": "watered the beds for 30 min"}


async def test_a_cancelled_command_is_over(desk: Desk) -> None:
    water = await desk.walk("water")
    await water.go("next", zone="lawn")
    session_id = water.session_id
    await water.go("cancel")
    assert water.status == "canceled"
    with pytest.raises(IqError) as caught:
        await desk.send("water", action="complete", sessionid=session_id, payload=desk.form(minutes="5"))
    assert caught.value.condition == "bad-request"
    assert caught.value.iq.xml.find(f".//{COMMANDS}bad-sessionid") is not None


async def test_an_action_that_a_page_does_not_take_is_told(desk: Desk) -> None:
    water = await desk.walk("water")
    with pytest.raises(IqError) as caught:
        await desk.send("water", action="prev", sessionid=water.session_id)
    assert caught.value.iq.xml.find(f".//{COMMANDS}bad-action") is not None
    await water.go("next", zone="lawn")
    assert water.values == {"minutes": "10"}


async def test_an_error_reaches_the_session_that_it_belongs_to(desk: Desk) -> None:
    water = await desk.walk("water")
    session_id = water.session_id
    await water.go("complete", zone="lawn")
    assert (water.answer["type"], water.answer["error"]["condition"]) == ("error", "bad-request")
    assert water.session_id == session_id


async def test_the_same_form_twice_acts_once(desk: Desk) -> None:
    shown = await desk.send("switch")
    answers = [
        await desk.send(
            "switch",
            action="complete",
            sessionid=shown.get("sessionid"),
            payload=desk.form(channel="1", on=on, mode="hard"),
        )
        for on in ("1", "true")
    ]
    assert [each.get("status") for each in answers] == ["completed"] * 2
    assert desk.switched == [(1, True, "hard")]
    other = desk.form(channel="4", on="1", mode="hard")
    with pytest.raises(IqError) as caught:
        await desk.send("switch", action="complete", sessionid=shown.get("sessionid"), payload=other)
    assert caught.value.condition == "conflict"
    assert desk.switched == [(1, True, "hard")]


async def test_abandoned_sessions_give_way(desk: Desk) -> None:
    walks = [await desk.walk("water") for _ in range(MOST_EACH + 1)]
    with pytest.raises(IqError) as caught:
        await desk.send("water", action="next", sessionid=walks[0].session_id, payload=desk.form(zone="lawn"))
    assert caught.value.iq.xml.find(f".//{COMMANDS}bad-sessionid") is not None
    for walk in (walks[1], walks[-1]):
        await walk.go("next", zone="lawn")
        await walk.go("complete", minutes="1")
        assert walk.values == {"result": "watered the lawn for 1 min"}


async def test_a_session_is_its_owners_alone(desk: Desk, site: Site, administered: Administered) -> None:
    server, _ = administered
    water = await desk.walk("water")
    async with bare_client(server.controller, *PLUGINS) as other:
        stranger = Desk(other, desk.device, desk.switched)
        with pytest.raises(IqError) as caught:
            await stranger.send("water", action="next", sessionid=water.session_id)
        assert caught.value.condition == "forbidden"
    await water.go("next", zone="lawn")
    assert water.values == {"minutes": "10"}
