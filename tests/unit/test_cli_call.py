"""Arguments from the command line, as a command's schema wants them."""

import pytest
from pydantic import SecretStr

from iotxmpp.account import Account
from iotxmpp.addresses import DeviceNodes, device_id
from iotxmpp.cli.call import _about, _shown
from iotxmpp.commands import call_element
from iotxmpp.errors import ArgumentsError, CommandError, DeviceAwayError, NotAllowedError, UnknownDeviceError
from iotxmpp.memory import MemoryServer
from iotxmpp.provisioning import NodePolicy
from iotxmpp.textargs import split_pairs, typed_arguments

SCHEMA = {
    "properties": {
        "seconds": {"type": "integer"},
        "level": {"type": "number"},
        "on": {"type": "boolean"},
        "note": {"type": "string"},
        "parts": {"type": "array"},
        "either": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
    }
}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("seconds", "20", 20),
        ("seconds", "-1", -1),
        ("seconds", "soon", "soon"),
        ("seconds", "", ""),
        ("level", "1.5", 1.5),
        ("level", "NaN", "NaN"),
        ("level", "-Infinity", "-Infinity"),
        ("on", "true", True),
        ("on", "True", "True"),
        ("on", "1", 1),
        ("note", "20", "20"),
        ("note", "true", "true"),
        ("note", '"quoted"', '"quoted"'),
        ("note", "a=b", "a=b"),
        ("parts", "[1, 2]", [1, 2]),
        ("either", "20", 20),
        ("either", "later", "later"),
        ("unknown", "20", 20),
        ("unknown", "later", "later"),
        ("parts", "[" * 100_000, "[" * 100_000),
    ],
)
def test_text_becomes_what_the_schema_asks_for(name: str, text: str, value: object) -> None:
    typed = typed_arguments({name: text}, SCHEMA)
    assert typed == {name: value}
    assert type(typed[name]) is type(value)


def test_a_command_without_arguments_has_no_properties() -> None:
    assert typed_arguments({}, {}) == {}
    assert typed_arguments({"a": "1"}, {}) == {"a": 1}


def test_a_number_too_large_for_a_float_is_not_sent() -> None:
    typed = typed_arguments({"level": "1e999"}, SCHEMA)
    with pytest.raises(ArgumentsError, match="water"):
        call_element("water", typed, id="1")


def test_arguments_are_split_at_the_first_equals_sign() -> None:
    assert split_pairs(["seconds=20", "note=a=b c", "empty="]) == {
        "seconds": "20",
        "note": "a=b c",
        "empty": "",
    }


@pytest.mark.parametrize("text", ["20", "=20", ""])
def test_an_argument_that_is_no_pair_is_refused(text: str) -> None:
    with pytest.raises(ArgumentsError, match=f"argument '{text}': write it as key=value, such as seconds=20"):
        split_pairs([text])


def test_an_argument_given_twice_is_refused() -> None:
    with pytest.raises(ArgumentsError, match="argument 'a' is given twice"):
        split_pairs(["a=1", "b=1", "a=1"])


@pytest.mark.parametrize(
    ("result", "shown", "as_json"),
    [
        ("x\x1b]0;owned\x07", r"x\x1b]0;owned\x07", r'"x\u001b]0;owned\u0007"'),
        ("two\n\tlines\x9b", "two\n\tlines\\x9b", r'"two\n\tlines\u009b"'),
        (["\u202e\n"], '[\n  "\\u202e\\n"\n]', r'["\u202e\n"]'),
    ],
)
def test_a_result_does_not_steer_the_terminal(result: object, shown: str, as_json: str) -> None:
    assert _shown(result, as_json=False) == shown
    assert _shown(result, as_json=True) == as_json


@pytest.mark.parametrize("as_json", [False, True])
def test_a_result_that_json_cannot_say_is_an_error_of_ours(as_json: bool) -> None:
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    for result in ({"level": float("nan")}, [float("inf")], deep):
        with pytest.raises(CommandError, match="no JSON that can be shown"):
            _shown(result, as_json=as_json)


async def test_why_a_device_has_no_description() -> None:
    server, service = MemoryServer(), "pubsub.localhost"
    house, stranger = [
        Account(jid=f"{name}@localhost", password=SecretStr("secret")) for name in ("house", "stranger")
    ]
    for account in (house, stranger):
        await server.create_account(account.jid, "secret")
    node = DeviceNodes(service=service, device=device_id("attic")).about
    await server.create_node(node, NodePolicy(publisher="attic@localhost", readers=(house.jid,)))
    async with server.link(house) as ours, server.link(stranger) as theirs:
        with pytest.raises(UnknownDeviceError, match="there is no device hall at pubsub"):
            await _about(ours, service, "hall@localhost")
        with pytest.raises(DeviceAwayError, match="attic@localhost has never been online"):
            await _about(ours, service, "attic@localhost")
        with pytest.raises(NotAllowedError) as refused:
            await _about(theirs, service, "attic@localhost")
    says = str(refused.value)
    assert (
        "there is no device attic at pubsub.localhost, or this account may not read it: check the name"
        in says
    )
    assert "stranger@localhost: forbidden" in says
