import json
from pathlib import Path

import pytest

import device_profiles
from iotxmpp.arguments import CommandSpec
from iotxmpp.errors import ArgumentsError, ConfigError, UnknownCommandError
from iotxmpp.profiles import Profile, parse_profile
from iotxmpp.tables import TableError

HEAD = 'schema = 1\nid = "x"\nversion = "1.0.0"\ndriver = { kind = "simulated" }\n'
TEMPERATURE = '[readings.temperature]\ntype = "float"\nunit = "Cel"\nrange = [-40, 85]\n'
RELAY = """
[readings.relay]
type = "bool"
count = 4
quantity = "switch"
[commands.switch]
idempotent = true
timeout = 5
args.channel = { type = "int", range = [1, 4] }
args.on = { type = "bool" }
args.for = { type = "float", unit = "s", range = [0.1, 3600], optional = true }
args.mode = { type = "str", choices = ["soft", "hard"], default = "soft" }
"""


def profile(text: str) -> Profile:
    return parse_profile(HEAD + text, "x.toml")


def test_a_profile_says_what_it_says() -> None:
    parsed = parse_profile(
        'schema = 1\nid = "relay4"\nversion = "1.2.0-rc.1"\ntitle = "Relays"\n'
        'driver = { kind = "gpio", device = "OutputDevice", pins = [5, 6, 13, 19], active_high = false }\n'
        + RELAY,
        "relay4.toml",
    )
    assert (parsed.form, parsed.id, parsed.version, parsed.title) == (1, "relay4", "1.2.0-rc.1", "Relays")
    assert parsed.driver.kind == "gpio"
    assert parsed.driver.settings == {"device": "OutputDevice", "pins": [5, 6, 13, 19], "active_high": False}
    assert parsed.commands["switch"].idempotent
    assert parsed.commands["switch"].timeout == 5
    assert parsed.readings["relay"].quantity == "switch"


def test_channels_are_counted_out() -> None:
    channels = profile(TEMPERATURE + RELAY).channels()
    assert list(channels) == ["temperature", "relay/1", "relay/2", "relay/3", "relay/4"]
    assert channels["temperature"].unit == "Cel"
    assert channels["temperature"].range == (-40.0, 85.0)
    assert channels["relay/4"].type == "bool"
    assert profile(TEMPERATURE + "every = 30\n").reading_kinds()["temperature"].every == 30


def test_a_name_means_its_own_channel_or_all_of_its_reading() -> None:
    meant = profile(TEMPERATURE + RELAY).channels_meant()
    assert meant["temperature"] == ["temperature"]
    assert meant["relay"] == ["relay/1", "relay/2", "relay/3", "relay/4"]
    assert meant["relay/2"] == ["relay/2"]
    assert len(meant) == 6


def test_a_command_is_described_by_a_closed_json_schema() -> None:
    about = profile(RELAY).command_about()["switch"]
    assert about.arguments == {
        "type": "object",
        "properties": {
            "channel": {"type": "integer", "minimum": 1, "maximum": 4},
            "on": {"type": "boolean"},
            "for": {"type": "number", "minimum": 0.1, "maximum": 3600, "unit": "s"},
            "mode": {"type": "string", "enum": ["soft", "hard"], "default": "soft"},
        },
        "required": ["channel", "on"],
        "additionalProperties": False,
    }
    assert (about.title, about.role, about.once, about.steps) == ("", "operator", "idempotent", ())
    spec = CommandSpec.from_about("switch", about)
    assert spec.parse({"channel": 1, "on": True}) == {"channel": 1, "on": True, "mode": "soft"}


def test_a_command_has_words_a_role_and_pages_for_people() -> None:
    about = profile(
        """
        [commands.dose]
        title = "Dose"
        role = "maintainer"
        steps = [["channel"], ["amount"]]
        args.channel = { type = "int", title = "Channel" }
        args.amount = { type = "float", title = "Amount", unit = "l", description = "How much" }
        """
    ).command_about()["dose"]
    assert (about.title, about.role, about.once) == ("Dose", "maintainer", "journal")
    assert about.steps == (("channel",), ("amount",))
    assert about.arguments["properties"] == {
        "channel": {"type": "integer", "title": "Channel"},
        "amount": {"type": "number", "title": "Amount", "description": "How much", "unit": "l"},
    }
    assert CommandSpec.from_about("dose", about).about() == about


def test_good_arguments_come_back_in_their_types() -> None:
    checked = profile(RELAY).check_arguments("switch", {"channel": 4.0, "on": True, "for": 2, "mode": "hard"})
    assert json.dumps(checked) == '{"channel": 4, "on": true, "for": 2.0, "mode": "hard"}'


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"on": True}, "switch: argument 'channel' is missing"),
        ({"channel": 1, "on": None}, "switch: argument 'on' is missing"),
        ({"channel": 5, "on": True}, "switch: channel: 5 is not in 1 to 4"),
        ({"channel": 1.5, "on": True}, "switch: channel: 1.5 is no int"),
        ({"channel": True, "on": True}, "switch: channel: True is no int"),
        ({"channel": float("nan"), "on": True}, "switch: channel: nan is no int"),
        ({"channel": 10**400, "on": True}, "is no int"),
        ({"channel": 1, "on": 1}, "switch: on: 1 is no bool"),
        ({"channel": 1, "on": True, "for": "1"}, "switch: for: '1' is no float"),
        ({"channel": 1, "on": True, "mode": "sof"}, "switch: mode: 'sof' is none of 'soft', 'hard'"),
        ({"channel": 1, "on": True, "chanel": 1}, "switch: unknown argument 'chanel': did you mean channel"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ArgumentsError, match=words):
        profile(RELAY).check_arguments("switch", arguments)


def test_an_unknown_command_is_named() -> None:
    with pytest.raises(UnknownCommandError, match="command 'open': x has switch"):
        profile(RELAY).check_arguments("open", {})


BAD_PROFILES = [
    ("schema = ", "x.toml: not TOML: "),
    ("", "x.toml: schema: missing; write schema = 1; id: missing; version: missing; driver: missing"),
    (HEAD.replace("= 1\n", "= 2\n", 1), "x.toml: schema: Input should be 1"),
    (HEAD.replace('"x"', '"X y"'), "x.toml: id: "),
    (HEAD.replace("1.0.0", "1.0"), "version '1.0': use three numbers"),
    (HEAD.replace("kind", "knid"), "driver.kind: missing"),
    (HEAD + "shema = 1", "unknown key shema: did you mean schema?"),
    (HEAD + "[redings.t]\ntype = 'float'", "unknown key redings: did you mean readings?"),
    (HEAD + TEMPERATURE + "unti = 'Cel'", "unknown key unti in readings.temperature: did you mean unit?"),
    (HEAD + TEMPERATURE + "zzz = 1", "unknown key zzz in readings.temperature; known: type, unit, range"),
    (HEAD + "[readings.t]\ntype = 'float'\nunit = 'C'", "x.toml: readings.t.unit: unit C: did you mean Cel?"),
    (HEAD + "[readings.t]\ntype = 'double'", "readings.t.type: "),
    (HEAD + "[readings.t]\nunit = 'Cel'", "readings.t.type: missing"),
    (HEAD + "[readings.t]\ntype = 'bool'\nunit = 'Cel'", "readings.t: unit is for numbers"),
    (HEAD + "[readings.t]\ntype = 'str'\nrange = [0, 1]", "readings.t: range is for numbers"),
    (
        HEAD + "[readings.t]\ntype = 'float'\nrange = [1, 0]",
        "readings.t.range: [1, 0]: the first must be less",
    ),
    (
        HEAD + "[readings.t]\ntype = 'float'\nrange = [0, nan]",
        "readings.t.range[1]: Input should be a finite",
    ),
    (HEAD + "[readings.t]\ntype = 'int'\nrange = [0.5, 2]", "readings.t: range: use whole numbers"),
    (HEAD + "[readings.t]\ntype = 'float'\ncount = 0", "readings.t.count: "),
    (HEAD + "[readings.t]\ntype = 'float'\nevery = 0", "readings.t.every: "),
    (HEAD + "[readings.t]\ntype = 'float'\ndelta = 1", "delta is for numbers with on_change = true"),
    (HEAD + "[readings.t]\ntype = 'bool'\nat_least = 9", "at_least is for readings with on_change = true"),
    (
        HEAD + "[readings.t]\ntype = 'bool'\non_change = true\nat_least = 0",
        "readings.t.at_least: Input should",
    ),
    (HEAD + "[readings.'a b']\ntype = 'float'", "name 'a b': use A-Z"),
    (
        HEAD + TEMPERATURE + "simulate = { wave = 'weekly' }",
        "readings.temperature.simulate.wave: Input should be",
    ),
    (
        HEAD + TEMPERATURE + "simulate = { men = 1 }",
        "unknown key men in readings.temperature.simulate: did you mean mean?",
    ),
    (
        HEAD + "[commands.c]\nidempotant = true",
        "unknown key idempotant in commands.c: did you mean idempotent?",
    ),
    (HEAD + "[commands.c]\nrole = ''", "commands.c.role: "),
    (
        HEAD + "[commands.c]\nargs.a = { type = 'int' }\nsteps = [['b']]",
        "commands.c: steps: name each argument",
    ),
    (HEAD + "[commands.c]\nargs.a = { type = 'int' }\nsteps = [['a'], []]", "on one page; there is a"),
    (HEAD + "[commands.c]\nargs.a = { type = 'int' }\nsteps = [['a', 'a']]", "on one page; there is a"),
    (
        HEAD + "[commands.c]\nargs.a = { type = 'int', rnge = [1, 2] }",
        "unknown key rnge in commands.c.args.a: did you",
    ),
    (
        HEAD + "[commands.c]\nargs.a = { type = 'int', default = 'x' }",
        "commands.c.args.a: default: 'x' is no int",
    ),
    (
        HEAD + "[commands.c]\nargs.a = { type = 'int', range = [1, 2], default = 3 }",
        "default: 3 is not in 1 to 2",
    ),
    (
        HEAD + "[commands.c]\nargs.a = { type = 'str', choices = [1] }",
        "commands.c.args.a: choices: 1 is no str",
    ),
    (
        HEAD + "[commands.c]\nsimulate = { set = 't', to = 'on' }",
        "commands.c: simulate: no argument 'on'; there is none",
    ),
    (HEAD + "[commands.c]\nsimulate = { set = 't/{n}' }", "commands.c: simulate: no argument 'n'"),
    (
        HEAD + "[commands.c]\nsimulate = { set = 't' }",
        "commands.c.simulate.set: no reading 't'; there is none",
    ),
    (
        HEAD + TEMPERATURE + "[commands.c]\nsimulate = { set = 'temperature' }",
        "simulate.value: True is no float",
    ),
    (
        HEAD + RELAY + "effect = { set = 'relay/{chanel}' }",
        "commands.switch: effect: no argument 'chanel'; there is channel, on",
    ),
    (
        HEAD + RELAY + "effect = { set = 'relai/{channel}', to = 'on' }",
        "commands.switch.effect.set: no reading 'relai'; there is relay",
    ),
    (
        HEAD + RELAY + "effect = { set = 'relay/{channel}', to = 'on', lasting = 'mode' }",
        "commands.switch: effect.lasting: mode is no number of seconds",
    ),
    (
        HEAD + RELAY + "effect = { sett = 'relay' }",
        "unknown key sett in commands.switch.effect: did you mean set?",
    ),
    (
        HEAD + "[readings.r]\ntype = 'bool'\ncount = 3\nsource = { pin = [1, 2] }",
        "readings.r: source.pin: 2 entries, and count is 3; give 3, or one value for all",
    ),
    (
        HEAD + "[readings.r]\ntype = 'bool'\nsource = { pin = nan }",
        "readings.r.source.pin: nan and inf are no values; give a number",
    ),
    (HEAD + "[readings.r]\ntype = 'str'\ncounter = true", "readings.r: counter is for numbers"),
    (HEAD.replace("}", ", gain = inf }"), "driver.gain: nan and inf are no values; give a number"),
    (HEAD.replace("}", ", since = 1979-05-27 }"), "driver.since: "),
    (HEAD + "without = ['x']", "without: only with extends; remove it"),
    (HEAD + "extends = 'bme280'", "extends: 'bme280' cannot be found from here"),
    (HEAD.replace("= 1\n", "= true\n", 1), "schema: write schema = 1"),
    (HEAD + "[readings.'a b']\ntype = 'float'", "readings: name 'a b'"),
    (HEAD + "[readings.t]\ntype = 'float'\nevery = 1e-4", "readings.t.every: Input should be from 0.001 to"),
    (HEAD + "[readings.t]\ntype = 'float'\nevery = 1e8", "readings.t.every: Input should be from 0.001 to"),
    (
        HEAD + "[readings.t]\ntype = 'float'\nrange = [0, 1]\nsimulate.mean = 5",
        "simulate.mean: 5 is outside range, 0 to 1",
    ),
    (HEAD + "title = 5", "title: Input should be a valid string"),
    (
        HEAD + "\n\n[readings.t\n",
        "not TOML: Expected ']' at the end of a table declaration (at line 7, column 12)",
    ),
    (HEAD + "'a\\nb' = 1", "unknown key a\\nb; known: schema, id"),
    ("a" + ".a" * 40 + " = 1", "line 1: a key of more than 16 parts; shorten it"),
    ("a = " + "[" * 5000, "nested too deep"),
    ("#" * 40_000, "longer than 32768 bytes"),
    (
        HEAD + "[readings.a]\ntype = 'bool'\ncount = 500\n[readings.b]\ntype = 'bool'",
        "readings: more than 500 channels, counted out",
    ),
    (
        HEAD + RELAY + "simulate = { set = 'relay/{channel}', to = 'channel' }",
        "commands.switch.simulate.to: channel is no bool, which relay is",
    ),
]


@pytest.mark.parametrize(("text", "words"), BAD_PROFILES)
def test_a_bad_profile_is_refused_in_one_line(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_profile(text, "x.toml")
    assert words in str(caught.value)
    assert str(caught.value).startswith("x.toml: ")
    assert "\n" not in str(caught.value)


def test_the_profiles_that_come_along() -> None:
    assert device_profiles.names() == [
        "bme280",
        "button",
        "dht22",
        "dimmer",
        "door-contact",
        "ds18b20",
        "energy-meter",
        "host",
        "led",
        "pir",
        "pms5003",
        "relay4",
        "scd4x",
        "sdm120",
        "sdm630",
        "soil-moisture",
        "soil-moisture-mcp3008",
        "ultrasonic-distance",
        "weather-station",
        "xy-md02",
    ]


@pytest.mark.parametrize("name", device_profiles.names())
def test_each_of_them_is_whole(name: str) -> None:
    loaded = device_profiles.load(name)
    assert loaded.id == name
    assert loaded.title
    assert loaded.description
    assert all(kind.every and kind.description for kind in loaded.readings.values())
    assert ("imulated" in loaded.description) == (loaded.driver.kind == "simulated")
    for command, about in loaded.command_about().items():
        assert about.description
        assert CommandSpec.from_about(command, about).about() == about


def test_an_unknown_profile_gets_a_suggestion() -> None:
    with pytest.raises(ConfigError, match=r"profile 'bme208': .* did you mean bme280"):
        device_profiles.load("bme208")
    with pytest.raises(ConfigError, match="there is bme280, button"):
        device_profiles.load("../../etc/passwd")


def test_each_channel_has_its_own_source() -> None:
    sources = profile(
        """
        [readings.relay]
        type = "bool"
        count = 2
        source = { device = "LED", pin = [5, 6], name = "r{n}" }
        [readings.level]
        type = "float"
        source = { pins = [1, 2], name = "{n}" }
        """
    ).sources()
    assert sources == {
        "relay/1": {"device": "LED", "pin": 5, "name": "r1"},
        "relay/2": {"device": "LED", "pin": 6, "name": "r2"},
        "level": {"pins": [1, 2], "name": "{n}"},
    }


def test_a_simulation_does_what_the_hardware_does_unless_told_otherwise() -> None:
    command = profile(RELAY + "effect = { set = 'relay/{channel}', to = 'on', lasting = 'for' }").commands[
        "switch"
    ]
    assert command.simulated == command.effect
    both = profile(
        RELAY
        + "effect = { set = 'relay/{channel}', to = 'on' }\n"
        + "simulate = { set = 'relay/{channel}', value = false }"
    ).commands["switch"]
    assert both.simulated is not None
    assert both.simulated.value is False


def test_all_faults_are_kept_and_five_are_shown() -> None:
    text = HEAD + "".join(f"k{number} = 1\n" for number in range(150))
    with pytest.raises(TableError, match=r"; and 145 more$") as caught:
        parse_profile(text, "x.toml")
    assert (len(caught.value.faults), caught.value.count, caught.value.where) == (100, 150, "x.toml")


def test_a_profile_can_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text(HEAD + TEMPERATURE)
    assert device_profiles.load_file(file).id == "x"
    file.write_text(HEAD + "shema = 1")
    with pytest.raises(ConfigError, match=r"x\.toml: unknown key shema"):
        device_profiles.load_file(file)
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"x\.toml: cannot be read"):
        device_profiles.load_file(str(file))
    with pytest.raises(ConfigError, match="cannot be read"):
        device_profiles.load_file(tmp_path / "none.toml")
