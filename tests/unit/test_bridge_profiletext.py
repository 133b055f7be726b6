"""What a probe writes of strange boards: it loads, and says what it leaves out."""

from pathlib import Path
from typing import Any

import pytest

from firmware_bridge import probeview
from firmware_bridge.board import BoardSession
from firmware_bridge.description import Description
from firmware_bridge.events import Described, Greeted, Happened, Sampled
from firmware_bridge.findings import MOST_NAMES, Findings, Seen
from firmware_bridge.messages import Channel, Command, Parameter
from firmware_bridge.probeview import offer
from firmware_bridge.scaffold import Scaffold, scaffold, slug
from firmware_bridge.values import Kind
from iotxmpp.errors import ConfigError
from iotxmpp.profiles import Profile, parse_profile


def test_strange_names_make_good_files() -> None:
    findings = Findings(port="/dev/ttyUSB0", baud=9600)
    for name, value in (("a/b", 1), ("pm2.5", 2.5), ("mode", "auto"), ("relay/2", True)):
        findings.channels[name] = Seen(value=value)
        findings.channels[name].note(value, 0.0)
    findings.events["pressed"] = "long"
    made = scaffold(findings, ports={"/dev/ttyUSB0": "/dev/serial/by-path/pci-0"})
    kind = parse_profile(made.profile, "made")
    assert set(kind.channels()) == {"a-b", "pm2.5", "mode", "relay-2", "pressed"}
    assert kind.readings["relay-2"].source == {"name": "relay/2"}
    assert 'port = "/dev/serial/by-path/pci-0"' in made.agent
    assert "baud = 9600" in made.profile
    assert slug("Über Bord!") == "ber-bord"


def printed(*lines: str) -> Findings:
    """What a sketch says by these lines."""
    findings = Findings(port="/dev/ttyUSB0", baud=115_200)
    session = BoardSession(protocol="text")
    findings.hear(session.open(0.0))
    for number, line in enumerate(("# start", *lines)):
        findings.hear(session.receive(line.encode() + b"\n", 1.0 + number))
    return findings


def described(channels: list[dict[str, Any]], commands: tuple[Command, ...] = ()) -> Findings:
    """What a board of level 1 says of itself."""
    known = tuple(Channel(index=index, **each) for index, each in enumerate(channels))
    findings = Findings(port="/dev/ttyUSB0", baud=115_200)
    findings.hear([Greeted(level=1, id="b-1", name="b\x7fé", version="1")])
    findings.hear([Described(description=Description(channels=known, commands=commands), remembered=False)])
    return findings


def loaded(findings: Findings) -> tuple[Profile, str]:
    text = scaffold(findings, ports={}).profile
    return parse_profile(text, "made"), text


@pytest.mark.parametrize(
    ("line", "sources"),
    [
        ("a/b=1 a-b=2", {"a-b": None, "a-b-2": "a/b"}),
        (
            "relay/1=true relay/2=false relay=on",
            {"relay": None, "relay-1": "relay/1", "relay-2": "relay/2"},
        ),
        ("a/b/c=1 a/b-c=2 a-b-c=3", {"a-b-c": None, "a-b-c-2": "a/b-c", "a-b-c-3": "a/b/c"}),
    ],
)
def test_names_that_would_be_one_are_told_apart(line: str, sources: dict[str, str | None]) -> None:
    profile, _ = loaded(printed(line))
    assert {name: kind.source.get("name") for name, kind in profile.readings.items()} == sources


def test_commands_whose_names_would_be_one_are_told_apart() -> None:
    commands = (
        Command(index=0, name="a/b", idempotent=False, parameters=()),
        Command(index=1, name="a-b", idempotent=True, parameters=()),
    )
    profile, _ = loaded(described([], commands))
    assert {name: kind.source.get("name") for name, kind in profile.commands.items()} == {
        "a-b": None,
        "a-b-2": "a/b",
    }


@pytest.mark.parametrize(
    ("channel", "written"),
    [
        ({"kind": Kind.BOOL, "unit": "Cel"}, '# unit = "Cel"  # check: a bool has none'),
        ({"kind": Kind.STR, "unit": "Cel"}, '# unit = "Cel"  # check: a str has none'),
        ({"kind": Kind.STR, "low": 0.0, "high": 1.0}, "# range = [0, 1]  # check: a str has none"),
        (
            {"kind": Kind.INT, "low": 0.5, "high": 9.5},
            "range = [1, 9]  # check: the board says range = [0.5, 9.5]",
        ),
        ({"kind": Kind.INT, "low": 0.2, "high": 0.8}, "# range = [0.2, 0.8]  # check: too narrow"),
        ({"kind": Kind.FLOAT, "low": -3e38, "high": 3e38}, "range = [-3e+38, 3e+38]"),
        ({"kind": Kind.FLOAT, "low": -40.0, "high": 85.5}, "range = [-40, 85.5]"),
    ],
)
def test_what_does_not_go_with_a_type_is_left_out_and_said(channel: dict[str, Any], written: str) -> None:
    profile, text = loaded(described([{"name": "t", **channel}]))
    assert list(profile.channels()) == ["t"]
    assert any(line.startswith(written) for line in text.splitlines()), text


def test_a_table_that_would_not_load_is_a_comment_that_says_why() -> None:
    twice = tuple(Parameter(kind=Kind.INT, name="n") for _ in range(2))
    commands = (
        Command(index=0, name="set", idempotent=False, parameters=twice),
        Command(index=1, name="go", idempotent=False, parameters=()),
    )
    profile, text = loaded(described([], commands))
    assert list(profile.commands) == ["go"]
    assert "# check, left out: " in text
    assert "\n# [commands.set]\n" in text


def test_beside_json_it_speaks_on_the_error_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    offer(printed("temperature=21.5"), tmp_path, force=False, aside=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "iotxmpp agent run" in err


def test_files_that_do_not_load_are_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    findings = printed("temperature=21.5")
    offer(findings, tmp_path / "good", force=False)
    assert {path.name for path in (tmp_path / "good").iterdir()} == {"agent.toml", "board.profile.toml"}

    def broken(findings: Findings, *, ports: object) -> Scaffold:
        made = scaffold(findings, ports={})
        return Scaffold(device=made.device, kind=made.kind, profile=made.profile * 2, agent=made.agent)

    monkeypatch.setattr(probeview, "scaffold", broken)
    with pytest.raises(ConfigError, match="not TOML"):
        offer(findings, tmp_path / "bad", force=False)
    assert not (tmp_path / "bad").exists()


def test_events_of_a_board_that_describes_itself_are_written_too() -> None:
    findings = described([{"name": "held", "kind": Kind.BOOL}])
    findings.hear([Happened(name=name, text="long", at=0.0) for name in ("pressed", "held")])
    profile, text = loaded(findings)
    assert {name: kind.type for name, kind in profile.readings.items()} == {"held": "bool", "pressed": "str"}
    assert '[readings.pressed]\ntype = "str"  # check\n' in text


@pytest.mark.parametrize(
    ("length", "said"),
    [
        (16, []),
        (22, ["32768 bytes: the range of each reading"]),
        (60, ["32768 bytes: the range of each reading", "32768 bytes: "]),
    ],
)
def test_a_profile_of_many_channels_loads_and_says_what_is_left_out(
    tmp_path: Path, length: int, said: list[str]
) -> None:
    ends = {"unit": "Cel", "low": -40.123456, "high": 85.98765}
    channels = [{"name": f"{'t' * (length - 6)}-{n:03}/a", "kind": Kind.FLOAT, **ends} for n in range(255)]
    findings = described(channels, (Command(index=0, name="go", idempotent=False, parameters=()),))
    offer(findings, tmp_path, force=False)
    profile, text = loaded(findings)
    notes = [line for line in text.splitlines() if "left out" in line]
    assert len(notes) == len(said)
    assert all(part in note for part, note in zip(said, notes, strict=True))
    gone = 255 + 1 - len(profile.readings) - len(profile.commands)
    assert (gone > 0) == (length == 60)
    assert not gone or (notes[-1].endswith(f" and {gone - 8} more") and '"readings.t' in notes[-1])
    assert ("range" in text.replace("the range of each", "")) == (not said)


def test_channels_beyond_those_that_a_board_may_have_are_said_to_be_left_out() -> None:
    findings = Findings(port="P", baud=9600)
    findings.hear([Sampled(values={f"c{number:03}": 1.0 for number in range(258)}, at=0.0)])
    profile, text = loaded(findings)
    assert len(profile.readings) == 255
    note = '# check, left out, as a board has at most 255 channels: "c255", "c256", "c257"\n'
    assert note in text


@pytest.mark.parametrize(("arguments", "kept"), [(0, 100), (4, 62)])
def test_commands_beyond_those_that_a_profile_may_have_are_said_to_be_left_out(
    arguments: int, kept: int
) -> None:
    parameters = tuple(Parameter(kind=Kind.INT, name=f"n{number}") for number in range(arguments))
    commands = tuple(Command(index=n, name=f"do{n}", parameters=parameters) for n in range(120))
    profile, text = loaded(described([{"name": "t", "kind": Kind.FLOAT}], commands))
    assert len(profile.commands) == kept
    note = f'# check, left out, as a profile has at most 100 commands with 250 arguments: "do{kept}", '
    assert note in text


def test_a_sketch_that_prints_ever_new_names_costs_bounded_memory() -> None:
    findings = Findings(port="P", baud=9600)
    for number in range(MOST_NAMES + 100):
        findings.hear([Sampled(values={f"c{number}": 1.0}, at=0.0)])
        findings.hear([Happened(name=f"e{number}", text="x" * 50, at=0.0)])
    findings.hear([Sampled(values={"c0": 2.0}, at=0.0)])
    assert (len(findings.channels), len(findings.events)) == (MOST_NAMES, MOST_NAMES)
    assert findings.unnoted == 200
    assert findings.channels["c0"].value == 2.0
