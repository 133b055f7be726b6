"""Any text and any table give a profile or a ConfigError, soon, and nothing else."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import device_profiles
from iotxmpp.errors import ConfigError
from iotxmpp.profiles import Profile, parse_profile, profile_of
from iotxmpp.tables import MOST_BYTES
from iotxmpp.xmltext import printable
from tests.effort import SOON, seconds_of

HEAD = 'schema = 1\nid = "x"\nversion = "1.0.0"\ndriver = { kind = "simulated" }\n'
WORDS = [
    *("schema", "id", "version", "extends", "without", "driver", "kind", "readings", "commands", "type"),
    *("unit", "range", "count", "every", "on_change", "delta", "counter", "source", "simulate", "effect"),
    *("wave", "set", "to", "value", "lasting", "args", "choices", "default", "steps", "float", "bool", "Cel"),
    *("x", "1.0.0", "relay", "relay/{n}", "{}", "", "\n", "\ud800", "C" * 200, "bme280", "child.toml"),
]
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.just(10**400),
    st.floats(),
    st.sampled_from(WORDS),
    st.text(max_size=8),
)
NAMES = st.sampled_from(WORDS) | st.text(max_size=5)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=25,
)
TABLES = st.dictionaries(NAMES, VALUES, max_size=8)
WHOLE = st.fixed_dictionaries(
    {
        "schema": st.just(1),
        "id": st.just("x"),
        "version": st.just("1.0.0"),
        "driver": st.just({"kind": "simulated"}) | VALUES,
    },
    optional={
        "readings": st.dictionaries(NAMES, TABLES, max_size=3),
        "commands": st.dictionaries(NAMES, TABLES, max_size=3),
        "extends": VALUES,
        "without": VALUES,
    },
)
TOML = st.lists(
    st.sampled_from(
        [*WORDS, HEAD, "\n", "[", "]", "{", "}", "=", '"', "'", '"""', ",", ".", "#", "1", "1e9", "-", "nan"]
    )
    | st.text(max_size=5),
    max_size=60,
).map(" ".join)


def checked(make: Callable[[], Profile]) -> None:
    def run() -> None:
        try:
            assert isinstance(make(), Profile)
        except ConfigError as error:
            text = str(error)
            assert text.startswith("x.toml: ")
            assert text == printable(text)
            assert len(text) < 4000

    assert seconds_of(run) < SOON


@given(st.text(max_size=300) | TOML)
@settings(max_examples=300, deadline=None)
def test_any_text(text: str) -> None:
    checked(lambda: parse_profile(text, "x.toml"))
    checked(lambda: parse_profile(HEAD + text, "x.toml"))


@given(TABLES | WHOLE)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_table(table: dict[str, object]) -> None:
    checked(lambda: profile_of(table, "x.toml"))


@given(st.binary(max_size=200), TOML)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_that_extends_any_other(tmp_path: Path, data: bytes, text: str) -> None:
    (tmp_path / "parent.toml").write_bytes(data)
    child = tmp_path / "child.toml"
    child.write_bytes((HEAD + 'extends = "parent.toml"\n').encode() + text.encode("utf-8", "replace"))
    with pytest.raises(ConfigError):
        device_profiles.load_file(child)


def filled(pattern: str, size: int = MOST_BYTES) -> str:
    """A file that is as long as it may be, of one pattern with numbers in it."""
    lines: list[str] = []
    left = size
    while True:
        line = pattern.replace("%", str(len(lines)))
        left -= len(line)
        if left < 0:
            return "".join(lines)
        lines.append(line)


@pytest.mark.parametrize(
    "text",
    [
        "a." * 16_000 + "a = 1",
        '"a".' * 8_000 + "a = 1",
        "[" + "a." * 16_000 + "a]",
        filled("a%.b.b.b.b.b.b.b.b.b.b.b.b.b.b = 1\n"),
        filled("[a.b.c.d.e.f.g.h.i.j.k.l.m.n.%]\n"),
        filled("[t%]\n"),
        filled("[[a]]\n"),
        filled("k% = 1\n"),
        HEAD + filled("k% = 1\n", 32_000),
        "a = " + "[" * 32_000,
        "a = " + "{a = " * 6_000,
        "a = " + "9" * 32_000,
        'a = "' + "\\n" * 16_000 + '"',
        "a = [" + "1," * 16_000 + "]",
        '"' * 32_000,
        "w" * 32_000,
        " " * 32_000,
        "a " * 16_000,
        HEAD + "k" * 32_000 + " = 1",
        HEAD + filled('[readings.t%]\ntype = "float"\nunit = "Cells%"\n', 32_000),
        HEAD + filled('[readings.t%]\ntype = "float"\nunti = "C"\n', 32_000),
        HEAD + filled('[readings.t%]\ntype = "float"\ncount = 1000\n', 32_000),
        HEAD + '[readings.t]\ntype = "float"\nunit = "' + "C" * 32_000 + '"',
        HEAD + "[commands.c]\n" + filled("args.a% = { type = 'float' }\n", 32_000),
        HEAD + '[commands.c]\nsimulate = { set = "' + "{" * 32_000 + '"}',
        HEAD.replace("1.0.0", "1.0.0-" + "." * 32_000 + "!"),
    ],
    ids=lambda text: text[-24:-4],
)
def test_what_takes_longest_takes_no_longer(text: str) -> None:
    checked(lambda: parse_profile(text[:MOST_BYTES], "x.toml"))


def test_nested_beyond_the_interpreters_depth() -> None:
    deep: dict[str, object] = {}
    for _ in range(5000):
        deep = {"a": deep}
    table = {"schema": 1, "id": "x", "version": "1.0.0", "driver": {"kind": "x", "more": deep}}
    with pytest.raises(ConfigError):
        profile_of(table, "x.toml")
    table["driver"] = {"kind": "x"}
    table["readings"] = {"t": {"type": "float", "source": deep}}
    with pytest.raises(ConfigError):
        profile_of(table, "x.toml")
