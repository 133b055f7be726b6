"""`docs/protocol.md` says what the code does: its stanzas, JSON, tables and figures."""

import base64
import hashlib
import json
import re
from copy import deepcopy
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element, canonicalize, fromstring, tostring

import pytest

from iotxmpp.about import About
from iotxmpp.addresses import DeviceId
from iotxmpp.agent import channels, outbox, serving
from iotxmpp.arguments import DEEPEST_JSON, LONGEST_JSON
from iotxmpp.commands import command_error, read_reply
from iotxmpp.controller import CODES, description, ingest, items
from iotxmpp.errors import (
    ArgumentsError,
    CommandError,
    CommandFailedError,
    NotAllowedError,
    StanzaError,
    UnknownCommandError,
)
from iotxmpp.senml import ABSOLUTE, decode, readings_of
from iotxmpp.status import parse_status
from iotxmpp.xmpp import guard, sasl, services, stanzas
from iotxmpp.xmpp.pubsub import PubSub, _notified_items
from tests.unit import wire_examples
from tests.unit.documents import ROOT, TEXTS, blocks, first_cells, rows, section
from tests.unit.wire_examples import DEVICE, MOMENT, NODES, READINGS, Recorder

PROTOCOL: Final = TEXTS["docs/protocol.md"]


def names() -> list[str]:
    """The names of the stanzas, in their order."""
    return [block.marker.removeprefix("example: ") for block in blocks("xml")]


def examples() -> dict[str, Element]:
    """The stanzas by their names."""
    return dict(zip(names(), (fromstring(block.text) for block in blocks("xml")), strict=True))  # noqa: S314  # our own


READ = {
    "subscriptions-answer",
    "notification",
    "features",
    "add-user-form",
    "add-user-done",
    "subscriptions-of-node-answer",
    "affiliations-of-node-answer",
}
"""Examples of what others send; the code has to understand them."""


@pytest.fixture(scope="module")
def sent() -> dict[str, Element]:
    return wire_examples.produced(examples())


def same(element: Element) -> str:
    """A stanza's canonical form, without what differs each time: ids, our own address, capabilities."""
    element = deepcopy(element)
    if element.tag.startswith("{jabber:client}"):
        for name in ("id", "from", "{http://www.w3.org/XML/1998/namespace}lang"):
            element.attrib.pop(name, None)
        for caps in element.findall("{http://jabber.org/protocol/caps}c"):
            element.remove(caps)
    return canonicalize(tostring(element), strip_text=True, rewrite_prefixes=True)


def test_every_stanza_of_the_protocol_is_named_and_checked(sent: dict[str, Element]) -> None:
    assert sorted(names()) == sorted(sent.keys() | READ)


@pytest.mark.parametrize("name", sorted(examples().keys() - READ))
def test_a_stanza_of_the_protocol_is_what_the_code_sends(name: str, sent: dict[str, Element]) -> None:
    assert same(examples()[name]) == same(sent[name])


def test_the_check_of_stanzas_finds_a_difference(sent: dict[str, Element]) -> None:
    changed = deepcopy(examples()["call"])
    changed[0].set("node", "other")
    assert same(changed) != same(sent["call"])


def test_the_notification_is_a_good_pack() -> None:
    (item,) = _notified_items(examples()["notification"])
    assert item.node == NODES.readings
    assert item.publisher == "greenhouse@example.org"
    greenhouse = _Greenhouse(about=wire_examples.greenhouse().about)
    checked = ingest.check_item(item, greenhouse, MOMENT)
    assert checked.readings == READINGS
    assert checked.rejections == ()


@dataclass(frozen=True, kw_only=True)
class _Greenhouse:
    about: About | None
    id: DeviceId = DEVICE
    jid: str = "greenhouse@example.org"


async def test_the_subscriptions_are_read() -> None:
    answer = examples()["subscriptions-answer"][0]
    pubsub = PubSub(Recorder(lambda _: answer).call, wire_examples._inbox())
    assert set(await pubsub.nodes(NODES.service, timeout=1)) == {NODES.readings, NODES.about, NODES.state}


def test_the_features_are_those_that_an_agent_shows() -> None:
    info = examples()["features"]
    named = {each.get("var") or "" for each in info.findall("{*}feature")}
    assert {"http://jabber.org/protocol/commands", "urn:iotxmpp:command:0", "urn:iotxmpp:status:0"} <= named
    # XEP-0115's hash of them is the one in the example of a presence.
    caps = examples()["presence"].find("{http://jabber.org/protocol/caps}c")
    assert caps is not None
    assert caps.get("ver") == _caps_hash("client/bot//iotxmpp", named)


def _caps_hash(identity: str, features: set[str]) -> str:
    text = "".join(f"{part}<" for part in [identity, *sorted(features)])
    return base64.b64encode(hashlib.sha1(text.encode(), usedforsecurity=False).digest()).decode()


def test_the_presences_carry_a_good_status() -> None:
    for name, why in (("presence", "change"), ("presence-stop", "stop")):
        status = parse_status(tuple(examples()[name]))
        assert status is not None
        assert status.why == why


def test_the_answers_to_calls_are_read_as_they_are_meant() -> None:
    stanza = examples()
    assert read_reply(stanza["result"][0]) == "watered for 20 s"
    with pytest.raises(CommandFailedError, match="the valve does not answer"):
        read_reply(stanza["failure"][0])


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("error-forbidden", NotAllowedError),
        ("error-get", CommandError),
        ("error-nameless", CommandError),
        ("error-action", CommandError),
        ("error-payload", ArgumentsError),
        ("error-unknown", UnknownCommandError),
        ("error-expired", CommandError),
        ("error-arguments", ArgumentsError),
        ("error-busy", CommandError),
    ],
)
def test_a_refusal_means_what_the_protocol_says(name: str, meaning: type[CommandError]) -> None:
    error = stanzas.error_of(examples()[name])
    assert type(command_error(error)) is meaning


def test_the_table_of_refusals_matches_their_examples() -> None:
    stated = rows(section(PROTOCOL, "### 9.3 The command was not started"))
    errors = [name for name in names() if name.startswith("error-")]
    assert [int(row[4]) for row in stated] == list(range(1, len(errors) + 1))
    for (_, condition, kind, detail, _), name in zip(stated, errors, strict=True):
        stanza = examples()[name]
        error: StanzaError = stanzas.error_of(stanza)
        assert error.condition == condition
        assert stanza[0].get("type") == kind
        assert (error.detail or "").rpartition("}")[2] == detail


def test_the_error_names_the_wait_that_the_code_has() -> None:
    text = section(PROTOCOL, "### 9.3 The command was not started")
    assert f"{serving.AT_ONCE} commands run and {serving.MOST_WAITING} wait" in text


def test_the_senml_examples_are_packs() -> None:
    found = [block for block in blocks("json") if block.marker == "senml: pack"]
    assert found
    for block in found:
        readings = readings_of(decode(block.text), device=DEVICE, epoch="7f3a9c21", first_seq=120)
        assert tuple(readings) == READINGS


def test_the_about_example_is_what_the_agent_describes() -> None:
    (block,) = [block for block in blocks("json") if block.marker == "json: about"]
    assert json.loads(block.text) == json.loads(wire_examples.greenhouse().about.model_dump_json())
    assert first_cells(section(PROTOCOL, "## 6. About")) == set(About.model_fields)


def test_the_codes_of_rejections_are_all_listed() -> None:
    listed = [row[0] for row in rows(section(PROTOCOL, "### 5.3 What a controller checks"))]
    assert listed == list(CODES)


def test_the_limits_are_those_of_the_code() -> None:
    stated = {row[0]: row[1] for row in rows(section(PROTOCOL, "### 5.4 Limits"))}
    assert stated == {
        "payload of an item or a request, on the wire": f"{stanzas.MAX_PAYLOAD_BYTES} bytes",
        "JSON of an item, taken by a controller": f"{items.MAX_TEXT} bytes",
        "pack, made by a device": (
            f"{packs.MOST_BYTES} bytes on the wire, or {packs.MOST_READINGS} readings"
        ),
        "records of a pack, taken by a controller": str((decode.__kwdefaults__ or {})["most"]),
        "value of text, made by a device": f"{channels.LONGEST_TEXT} characters",
        "arguments or result of a command, as JSON": f"{LONGEST_JSON} bytes, {DEEPEST_JSON} levels",
        "channels of a device": str(description.MAX_CHANNELS),
        "rejections kept of one item": str(ingest.MAX_REJECTIONS),
        "stanza from the server": f"{guard.MAX_STANZA_BYTES} bytes, {guard.MAX_DEPTH} levels",
    }


def test_other_figures_of_the_protocol_are_those_of_the_code() -> None:
    assert ABSOLUTE == 2**28
    assert f"within {sasl.MIN_ITERATIONS} to {sasl.MAX_ITERATIONS}" in " ".join(PROTOCOL.split())
    assert "SCRAM-SHA-512, -256 or -1 alone" in PROTOCOL
    assert sasl.MECHANISMS == ("SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1")
    assert f"over {services.MOST_AT_ONCE} requests at once" in PROTOCOL
    assert ingest.EARLIEST == 1577836800  # 2020
    assert ingest.MOST_AHEAD == 24 * 3600


def test_every_namespace_is_defined() -> None:
    defined = {
        name.strip() for row in rows(section(PROTOCOL, "## 13. Namespaces")) for name in row[0].split(",")
    }
    sources = "\n".join(
        path.read_text(encoding="utf-8")
        for path in (ROOT / "iotxmpp").rglob("*.py")
        if "server" not in path.parts
    )
    ours = set(re.findall(r"urn:iotxmpp:[a-z]+(?::\d+)?", sources))
    assert ours == {name for name in defined if name.startswith("urn:iotxmpp:")}
    used = {part.tag[1:].partition("}")[0] for element in examples().values() for part in element.iter()}
    common = {"jabber:client", "urn:ietf:params:xml:ns:xmpp-stanzas"}
    assert used - common <= defined


def test_the_status_table_lists_its_attributes() -> None:
    status = examples()["presence"].find("{urn:iotxmpp:status:0}status")
    assert status is not None
    assert first_cells(section(PROTOCOL, "## 7. Presence and status")) == set(status.attrib)


def test_the_node_configuration_is_the_one_that_is_set() -> None:
    stated = {row[0]: row[1] for row in rows(section(PROTOCOL, "### 4.1 Node configuration"))}
    form = examples()["configure-submit"].find(".//{jabber:x:data}x")
    assert form is not None
    values = {field.get("var"): field.findtext("{jabber:x:data}value") for field in form}
    assert stated.keys() == values.keys() - {"FORM_TYPE"}
    for name in ("pubsub#access_model", "pubsub#publish_model", "pubsub#deliver_payloads"):
        assert stated[name] == values[name]
