"""`docs/protocol.md` says what the code does: its stanzas, JSON, tables and figures."""

import base64
import hashlib
import json
import re
from copy import deepcopy
from dataclasses import dataclass
from typing import Final, get_args
from xml.etree.ElementTree import Element, canonicalize, fromstring, tostring

import pytest

from iotxmpp import delivery, payloads, status
from iotxmpp.about import About
from iotxmpp.addresses import DeviceId
from iotxmpp.agent import channels, packbound
from iotxmpp.agent.outbox import packs
from iotxmpp.arguments import DEEPEST_JSON, LONGEST_JSON
from iotxmpp.commands import (
    CALL_NAMESPACE,
    COMMANDS_NAMESPACE,
    Progress,
    command_error,
    read_progress,
    read_reply,
)
from iotxmpp.controller import CODES, description, ingest
from iotxmpp.dataforms import read_submitted
from iotxmpp.delivery import ACK_TAG, GAP_TAG, MOST_EPOCHS, MOST_LOST, GapReason, parse_ack, parse_gap
from iotxmpp.errors import (
    ArgumentsError,
    CommandCancelledError,
    CommandConflictError,
    CommandError,
    CommandExpiredError,
    CommandFailedError,
    CommandUnknownError,
    NotAllowedError,
    StanzaError,
    UnknownCommandError,
)
from iotxmpp.payloads import pack_text
from iotxmpp.senml import ABSOLUTE, MOST_NAME, MOST_UNIT, decode, numbers_of, parse_item_id, readings_of
from iotxmpp.serving import execution
from iotxmpp.status import TAG as STATUS_TAG
from iotxmpp.status import DeviceStatus, parse_status
from iotxmpp.xmpp import guard, limits, sasl, services, stanzas
from iotxmpp.xmpp.pubsub import PubSub, _notified_items
from tests.unit import wire_examples
from tests.unit.documents import ROOT, TEXTS, Block, blocks, first_cells, rows, section
from tests.unit.wire_examples import DEVICE, MOMENT, NODES, READINGS, Recorder

PROTOCOL: Final = TEXTS["docs/protocol.md"]


def stanzas_of(file: str) -> list[tuple[Block, Element]]:
    """The XML of a document, each block's one element."""
    return [(block, fromstring(block.text)) for block in blocks("xml") if block.file == file]  # noqa: S314  # our own


def names() -> list[str]:
    """The names of the protocol's stanzas, in their order."""
    return [block.marker.removeprefix("example: ") for block, _ in stanzas_of("docs/protocol.md")]


def examples() -> dict[str, Element]:
    """The protocol's stanzas by their names."""
    elements = (element for _, element in stanzas_of("docs/protocol.md"))
    return dict(zip(names(), elements, strict=True))


READ = {
    "subscriptions-answer",
    "notification",
    "publish-pack",
    "features",
    "form-submit",
    "list",
    "entry",
    "chat",
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


def test_the_compressed_pack_is_the_plain_one() -> None:
    plain, packed = (examples()[name].find(".//{*}item") for name in ("publish-readings", "publish-pack"))
    assert plain is not None
    assert packed is not None
    assert packed[0].tag == payloads.PACK_TAG
    assert pack_text(packed[0]) == pack_text(plain[0])
    assert packed.attrib == plain.attrib
    assert f"compresses JSON of {payloads.PACK_FROM} characters" in PROTOCOL


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
    assert {COMMANDS_NAMESPACE, CALL_NAMESPACE, delivery.NAMESPACE, status.NAMESPACE} <= named
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
    with pytest.raises(CommandUnknownError, match="what became of it is not known"):
        read_reply(examples()["started"][0])
    with pytest.raises(CommandCancelledError):
        read_reply(examples()["cancelled"][0])


def test_the_submitted_form_is_read() -> None:
    water = wire_examples.greenhouse().about.commands["water"]
    assert read_submitted(examples()["form-submit"], water, "water") == {"seconds": 20}


def test_the_progress_is_read() -> None:
    assert read_progress(examples()["progress"]) == Progress(
        id=wire_examples.CALL_ID, fraction=0.25, text="5 of 20 s"
    )


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("error-forbidden", NotAllowedError),
        ("error-get", CommandError),
        ("error-nameless", CommandError),
        ("error-action", CommandError),
        ("error-payload", ArgumentsError),
        ("error-unknown", UnknownCommandError),
        ("error-expired", CommandExpiredError),
        ("error-conflict", CommandConflictError),
        ("error-late", CommandError),
        ("error-session", CommandError),
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
    assert f"{execution.AT_ONCE} commands run and {execution.MOST_WAITING} wait" in text


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
        "JSON of an item, taken by a controller": f"{payloads.MAX_TEXT} bytes",
        "pack, made by a device": (
            f"{packbound.MOST_BYTES} bytes on the wire, or {packs.MOST_READINGS} readings"
        ),
        "records of a pack, taken by a controller": str((decode.__kwdefaults__ or {})["most"]),
        "whole name of a record, taken by a controller": f"{MOST_NAME} characters",
        "base unit, taken by a controller": f"{MOST_UNIT} characters",
        "value of text, made by a device": f"{channels.LONGEST_TEXT} characters",
        "arguments or result of a command, as JSON": f"{LONGEST_JSON} bytes, {DEEPEST_JSON} levels",
        "channels of a device": str(description.MAX_CHANNELS),
        "name of a channel, taken by a controller": f"{ingest.MAX_CHANNEL} characters",
        "epochs of an ack": str(MOST_EPOCHS),
        "runs of numbers of a gap record": str(MOST_LOST),
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


def test_the_limits_that_a_server_says_are_kept_to_as_stated() -> None:
    text = section(PROTOCOL, "### 5.4 Limits")
    assert f"leaves less than {limits.ENVELOPE} bytes" in text
    assert f"under {limits.LEAST} bytes is not believed" in text


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
    status = examples()["presence"].find(STATUS_TAG)
    assert status is not None
    stated = {row[0]: row[1] for row in rows(section(PROTOCOL, "### 7.1 Status"))}
    assert stated.keys() == status.attrib.keys() | {"sleeping"}
    assert stated.keys() == DeviceStatus.model_fields.keys() - {"problems"}


def test_the_table_of_why_lists_every_reason() -> None:
    stated = [row[0] for row in rows(section(PROTOCOL, "### 7.2 Why a presence is sent"))]
    assert stated == list(get_args(DeviceStatus.model_fields["why"].annotation))


def read_elements(file: str) -> set[str]:
    """Reads every ack, gap record, status and item of a document; the tags of those that it has."""
    found = set()
    for _, element in stanzas_of(file):
        for part in element.iter():
            if part.tag == ACK_TAG:
                parse_ack(part)
            elif part.tag == GAP_TAG:
                parse_gap(part)
            elif part.tag == STATUS_TAG:
                assert parse_status((part,)) is not None
            elif part.tag.rpartition("}")[2] == "item":
                check_numbers(part)
            else:
                continue
            found.add(part.tag)
    return found


def check_numbers(item: Element) -> None:
    """The item's id names the first of its numbers."""
    epoch, first = parse_item_id(item.get("id") or "")
    (payload,) = item
    if payload.tag == GAP_TAG:
        gap = parse_gap(payload)
        assert (gap.epoch, gap.first) == (epoch, first)
    else:
        assert numbers_of(decode(pack_text(payload)), first_seq=first)[0] == first


@pytest.mark.parametrize(
    ("file", "tags"),
    [("docs/delivery.md", {"item", ACK_TAG, GAP_TAG}), ("docs/liveness.md", {STATUS_TAG})],
)
def test_the_xml_of_the_other_documents_is_read(file: str, tags: set[str]) -> None:
    assert read_elements(file) == tags


def test_the_xml_of_no_other_document_is_left_unread() -> None:
    files = {block.file for block in blocks("xml")}
    assert files == {"docs/protocol.md", "docs/delivery.md", "docs/liveness.md", "docs/twin.md"}


def test_the_examples_of_delivery_have_the_numbers_that_are_told() -> None:
    pack = stanzas_of("docs/delivery.md")[0][1]
    _, first = parse_item_id(pack.get("id") or "")
    assert numbers_of(decode(pack_text(pack[0])), first_seq=first) == [120, 125]


def test_the_figures_of_delivery_are_those_of_the_code() -> None:
    text = " ".join(TEXTS["docs/delivery.md"].split())
    assert f"One to {MOST_LOST} runs, ascending and disjoint" in text
    assert f"At most {MOST_EPOCHS} epochs" in text
    reasons = re.findall(r"`([a-z-]+)`, ", text.partition("`reason`: ")[2].partition("A number that")[0])
    assert reasons == list(get_args(GapReason))


def test_the_node_configuration_is_the_one_that_is_set() -> None:
    stated = {row[0]: row[1] for row in rows(section(PROTOCOL, "### 4.1 Node configuration"))}
    form = examples()["configure-submit"].find(".//{jabber:x:data}x")
    assert form is not None
    values = {field.get("var"): field.findtext("{jabber:x:data}value") for field in form}
    assert stated.keys() == values.keys() - {"FORM_TYPE"}
    for name in ("pubsub#access_model", "pubsub#publish_model", "pubsub#deliver_payloads"):
        assert stated[name] == values[name]
