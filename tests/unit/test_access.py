"""Who may do what: denied unless given, by role, account, domain, device and command."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotxmpp.access import ROLES, Access, Grant, parse_access
from iotxmpp.errors import ConfigError, InvalidError
from tests.unit.documents import blocks

HOUSE = """
"alice@example.org" = "maintainer"
"bob@example.org" = { role = "operator", devices = ["greenhouse-*"], commands = ["water", "valve/*"] }
"carol@example.org" = [
    { role = "observer" },
    { role = "gardener", devices = ["greenhouse-1", "greenhouse-2"] },
]
"friends.example.org" = "observer"

[roles]
gardener = ["water", "shade/?"]
"""


def parsed(text: str) -> Access:
    return parse_access(tomllib.loads(text), "agent.toml: access")


@pytest.mark.parametrize(
    ("who", "device", "command", "needs", "role"),
    [
        ("alice@example.org", "cellar", "format", "maintainer", "maintainer"),
        ("Alice@Example.ORG/phone", "cellar", "", "operator", "maintainer"),
        ("alice@example.org", "cellar", "format", "gardener", "maintainer"),
        ("alice@example.org.evil.net", "cellar", "", "operator", None),
        ("bob@example.org", "greenhouse-1", "water", "operator", "operator"),
        ("bob@example.org", "greenhouse-1", "valve/2", "operator", "operator"),
        ("bob@example.org", "greenhouse-1", "valve", "operator", None),
        ("bob@example.org", "greenhouse-1", "Water", "operator", None),
        ("bob@example.org", "greenhouse-1", "water", "maintainer", None),
        ("bob@example.org", "greenhouse-1", "water", "gardener", None),
        ("bob@example.org", "greenhouse-1", "", "operator", "operator"),
        ("bob@example.org", "cellar", "", "operator", None),
        ("carol@example.org", "cellar", "", "operator", "observer"),
        ("carol@example.org", "cellar", "water", "operator", None),
        ("carol@example.org", "greenhouse-1", "water", "operator", "gardener"),
        ("carol@example.org", "greenhouse-1", "shade/1", "maintainer", "gardener"),
        ("carol@example.org", "greenhouse-1", "shade/12", "operator", None),
        ("dave@friends.example.org", "cellar", "", "operator", "observer"),
        ("dave@friends.example.org", "cellar", "look", "observer", "observer"),
        ("dave@friends.example.org", "cellar", "water", "operator", None),
        ("dave@more.friends.example.org", "cellar", "", "operator", None),
        ("friends.example.org", "cellar", "", "operator", None),
        ("eve@example.org", "cellar", "", "operator", None),
        ("", "cellar", "", "operator", None),
    ],
)
def test_what_is_given_is_allowed_and_nothing_else(
    who: str, device: str, command: str, needs: str, role: str | None
) -> None:
    decision = parsed(HOUSE).decide(who, device=device, command=command, needs=needs)
    assert decision.allowed == (role is not None)
    if role is not None:
        assert (decision.role, decision.why) == (role, "")
    else:
        assert decision.why


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("needs", ROLES)
def test_a_role_may_what_those_before_it_may(role: str, needs: str) -> None:
    access = Access([Grant(who="a@example.org", role=role)])
    decision = access.decide("a@example.org/x", device="d", command="c", needs=needs)
    assert decision.allowed == (ROLES.index(role) >= ROLES.index(needs))
    assert access.observes("a@example.org", "d")


@given(st.text(), st.text(), st.text(), st.text())
def test_nothing_is_allowed_where_nothing_was_given(who: str, device: str, command: str, needs: str) -> None:
    assert not Access().decide(who, device=device, command=command, needs=needs).allowed


@given(st.text(min_size=1), st.text(min_size=1))
def test_a_name_without_stars_means_itself_alone(name: str, other: str) -> None:
    if not set(name) & set("*?"):
        access = Access([Grant(who="a@b.c", role="maintainer", commands=(name,))])
        assert access.decide("a@b.c", device="d", command=name).allowed
        assert access.decide("a@b.c", device="d", command=other).allowed == (name == other)


def test_a_refusal_says_what_is_missing_and_who_can_mend_it() -> None:
    access = parsed(HOUSE)
    assert access.decide("eve@example.org", device="cellar").why == (
        "eve@example.org has no role on cellar; whoever runs cellar can give one under [access]"
    )
    assert "is observer on cellar, and water asks for operator; whoever runs cellar" in (
        access.decide("carol@example.org", device="cellar", command="water").why
    )
    assert "asks for gardener or maintainer" in (
        access.decide("carol@example.org", device="cellar", command="water", needs="gardener").why
    )
    assert "is operator on greenhouse-1, but not for drain; whoever runs greenhouse-1" in (
        access.decide("bob@example.org", device="greenhouse-1", command="drain").why
    )
    refused = access.decide("carol@example.org", device="greenhouse-1", command="drain")
    assert (refused.role, refused.allowed) == ("observer", False)
    assert "is observer, gardener on greenhouse-1, and drain asks for operator" in refused.why


def test_more_grants_add_up() -> None:
    access = Access().plus(Grant(who="A@example.org", role="observer"))
    assert not access.decide("a@example.org", device="d", command="c").allowed
    access = access.plus(Grant(who="a@example.org", role="operator", commands=("c",)))
    assert access.decide("a@example.org", device="d", command="c").role == "operator"
    assert access.decide("a@example.org", device="d").role == "operator"
    assert "is operator on d, but not for x" in access.decide("a@example.org", device="d", command="x").why
    with pytest.raises(InvalidError, match="no role 'king'"):
        access.plus(Grant(who="a@example.org", role="king"))
    with pytest.raises(InvalidError, match="there already"):
        Access((), {"operator": ["*"]})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('"a@b.c" = "operater"', "'a@b.c': no role 'operater'; there is observer, .*did you mean 'operator'"),
        ('"a@b.c" = "Maintainer"', "did you mean 'maintainer'"),
        ('"a@b.c" = { devices = ["x"] }', "'a@b.c': role is missing"),
        ('"a@b.c" = { role = 5 }', "role is missing"),
        ('"a@b.c" = { role = "operator", device = ["x"] }', "unknown key 'device'; did you mean 'devices'"),
        ('"a@b.c" = { role = "operator", devices = [] }', "devices: expected names or globs"),
        ('"a@b.c" = { role = "operator", commands = [5] }', "commands: expected names or globs"),
        ('"a@b.c" = 5', "'a@b.c': expected a role"),
        ('"a@b.c" = ["operator", 5]', "'a@b.c': expected a role"),
        ('"a@b.c/phone" = "operator"', "not to one of its sessions"),
        ('"*" = "operator"\n[roles]\noperator = ["x"]', "operator: observer, operator, maintainer are there"),
        ('"a b" = "operator"', "expected name@domain, or a domain"),
        ('"" = "operator"', "expected name@domain, or a domain"),
        ('"@" = "operator"', "expected name@domain"),
        ("roles = 5", "roles: expected a table of roles"),
        ("roles = { x = 5 }", "roles.x: expected names or globs"),
    ],
)
def test_a_wrong_table_is_refused_by_file_and_key(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=f"agent.toml: access: .*{told}"):
        parsed(text)


def test_one_glob_may_stand_alone() -> None:
    access = parsed('"a@b.c" = { role = "x", devices = "d*" }\n[roles]\nx = "go"')
    assert access.decide("a@b.c", device="d1", command="go").allowed
    assert not access.observes("a@b.c", "e")


def test_the_documented_table_is_one() -> None:
    (block,) = (each for each in blocks("toml") if each.marker == "access")
    access = parse_access(tomllib.loads(block.text)["access"], str(block))
    assert access.decide("carol@example.org", device="greenhouse-1", command="shade/1").role == "gardener"
    assert not access.decide("carol@example.org", device="greenhouse-2", command="water").allowed


@pytest.mark.parametrize("who", ["*", "*@example.org", "*.example.org", "bob@*"])
def test_a_glob_for_whom_matches_nobody_and_is_refused(who: str) -> None:
    with pytest.raises(ConfigError, match=r"name the domain, such as example\.org, for all of its accounts"):
        parse_access({who: "observer"}, "agent.toml: access")


@pytest.mark.parametrize(
    ("jid", "device", "by"),
    [
        ("ann@example.org/x", "", "ann@example.org"),
        ("bob@example.org", "", "example.org"),
        ("bob@sub.example.org", "", ""),
        ("carol@example.net", "", "carol@example.net"),
        ("carol@example.net", "hall", ""),
        ("carol@example.net", "barn", "carol@example.net"),
        ("example.org", "", ""),
    ],
)
def test_by_what_somebody_has_a_role(jid: str, device: str, by: str) -> None:
    access = Access(
        [
            Grant(who="example.org", role="observer"),
            Grant(who="ann@example.org", role="operator"),
            Grant(who="carol@example.net", role="operator", devices=("barn",)),
        ]
    )
    assert access.account_or_domain(jid, device=device) == by
