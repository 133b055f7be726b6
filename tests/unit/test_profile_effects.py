"""An effect that can never work is refused: its channel is not there, or its value is out of range."""

import pytest

from iotxmpp.errors import ConfigError
from iotxmpp.profiles import parse_profile

HEAD = 'schema = 1\nid = "x"\nversion = "1.0.0"\ndriver = { kind = "simulated" }\n'
ONE = "[readings.a]\ntype = 'bool'\n"
TWO = "[readings.a]\ntype = 'bool'\ncount = 2\n"
LEVEL = "[readings.a]\ntype = 'float'\nrange = [0, 1]\n"
SOME = "; there is a/1, a/2"
NEVER = "is never one of a/1, a/2"


def read(readings: str, effect: str, arguments: str = "") -> None:
    parse_profile(f"{HEAD}{readings}[commands.c]\n{arguments}effect = {{ {effect} }}\n", "x.toml")


@pytest.mark.parametrize(
    ("readings", "effect", "arguments", "words"),
    [
        (TWO, "set = 'a/7'", "", f"set: no channel 'a/7'{SOME}"),
        (TWO, "set = 'a/01'", "", f"set: no channel 'a/01'{SOME}"),
        (TWO, "set = 'a'", "", f"set: no channel 'a'{SOME}"),
        (TWO, "set = 'a/{}'", "", f"set: no channel 'a/{{}}'{SOME}"),
        (ONE, "set = 'a/1'", "", "set: no channel 'a/1'; there is a"),
        (ONE, "set = 'a/{n}'", "args.n = { type = 'int' }\n", "set: no channel 'a/{n}'; there is a"),
        (TWO, "set = 'a/{n}'", "args.n = { type = 'int', range = [3, 9] }\n", f"n {NEVER}"),
        (TWO, "set = 'a/{n}'", "args.n = { type = 'int', range = [-1, 0] }\n", f"n {NEVER}"),
        (TWO, "set = 'a/{n}'", "args.n = { type = 'int', choices = [3, 9] }\n", f"n {NEVER}"),
        (TWO, "set = 'a/{n}'", "args.n = { type = 'str', choices = ['x', '01'] }\n", f"n {NEVER}"),
        (TWO, "set = 'a/{n}'", "args.n = { type = 'float', range = [1, 2] }\n", f"n {NEVER}"),
        (TWO, "set = 'a/{n}'", "args.n = { type = 'bool' }\n", f"n {NEVER}"),
        (LEVEL, "set = 'a', value = 5", "", "value: 5 is outside a's range, 0 to 1; give one within"),
    ],
)
def test_what_can_never_work_is_told(readings: str, effect: str, arguments: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(readings, effect, arguments)
    assert f"commands.c.effect.{'value' if readings == LEVEL else 'set'}: " in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("readings", "effect", "arguments"),
    [
        (ONE, "set = 'a'", ""),
        (TWO, "set = 'a/2'", ""),
        (TWO, "set = 'a/{n}'", "args.n = { type = 'int', range = [1, 2] }\n"),
        (TWO, "set = 'a/{n}'", "args.n = { type = 'int' }\n"),
        (TWO, "set = 'a/{n}'", "args.n = { type = 'int', range = [0, 4] }\n"),
        (TWO, "set = 'a/{n}{m}'", "args.n = { type = 'int' }\nargs.m = { type = 'int' }\n"),
        (TWO, "set = 'a/{n}'", "args.n = { type = 'str', choices = ['1', '2'] }\n"),
        (LEVEL, "set = 'a', value = 1", ""),
    ],
)
def test_what_can_work_is_good(readings: str, effect: str, arguments: str) -> None:
    read(readings, effect, arguments)
