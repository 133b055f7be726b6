"""SCRAM: the examples of RFC 5802 and RFC 7677, and what no honest server says."""

import secrets
from base64 import b64encode
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slixmpp.util.sasl import SASLCancelled, SASLNoAppropriateMechanism, choose

from iotxmpp.xmpp import sasl
from iotxmpp.xmpp.sasl import MAX_ITERATIONS, MECHANISMS, MIN_ITERATIONS, BoundedScram, prepared

USER, PASSWORD = "user", "pencil"


def scram(*offered: str, user: str = USER, encrypted: bool = True) -> BoundedScram:
    """The mechanism that is chosen of those offered, within TLS."""
    chosen = choose(
        set(offered or ("SCRAM-SHA-256",)),
        lambda *_: {"username": user, "password": PASSWORD},
        lambda _: {"encrypted": encrypted, "unencrypted_scram": False, "binding_proposed": True},
        limit=set(MECHANISMS),
    )
    return cast("BoundedScram", chosen)


VECTORS = {
    "SCRAM-SHA-1": (
        "fyko+d2lbbFgONRv9qkxdawL",
        b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    ),
    "SCRAM-SHA-256": (
        "rOprNGfwEbeRWgbNEkqO",
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        (
            b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
            b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        ),
        b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    ),
}


@pytest.mark.parametrize("name", VECTORS)
def test_the_examples_of_the_rfcs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    nonce, first, final, signature = VECTORS[name]
    monkeypatch.setattr(secrets, "token_hex", lambda _: nonce)
    mechanism = scram(name)
    assert mechanism.process() == b"n,,n=user,r=" + nonce.encode()
    assert mechanism.objection(first, last=False) == ""
    assert mechanism.process(first) == final
    assert mechanism.objection(signature, last=True) == ""
    assert mechanism.process(signature) == b""


def test_the_proof_of_the_server_may_come_before_its_success(monkeypatch: pytest.MonkeyPatch) -> None:
    nonce, first, _, signature = VECTORS["SCRAM-SHA-256"]
    monkeypatch.setattr(secrets, "token_hex", lambda _: nonce)
    mechanism = scram()
    mechanism.process()
    mechanism.process(first)
    assert mechanism.objection(signature, last=False) == ""
    mechanism.process(signature)
    assert mechanism.objection(b"", last=True) == ""
    assert mechanism.process(b"") == b""


def test_the_strongest_is_chosen() -> None:
    names = [scram(*MECHANISMS[at:]).name for at in range(3)]
    assert names == ["SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1"]


def test_scram_needs_tls() -> None:
    with pytest.raises(SASLNoAppropriateMechanism):
        scram(encrypted=False)


def test_a_name_is_escaped() -> None:
    assert scram(user="a=b,c").process().startswith(b"n,,n=a=3Db=2Cc,r=")


def test_the_nonce_is_long_and_never_the_same() -> None:
    nonces = {scram().process().partition(b",r=")[2] for _ in range(50)}
    assert len(nonces) == 50
    assert {len(nonce) for nonce in nonces} == {32}


@pytest.mark.parametrize("iterations", [MIN_ITERATIONS - 1, MAX_ITERATIONS + 1, 0, -1, 10**12])
def test_iterations_out_of_bounds_are_not_worked_on(iterations: int) -> None:
    with pytest.raises(SASLCancelled):
        scram().Hi(PASSWORD, b"salt", iterations)


def test_iterations_at_the_lower_bound_are() -> None:
    assert len(scram().Hi(PASSWORD, b"salt", MIN_ITERATIONS)) == 32


def after_first() -> BoundedScram:
    mechanism = scram()
    mechanism.process()
    return mechanism


@pytest.mark.parametrize("iterations", ["4095", "500001", "1", "-4096", "9" * 400, "9" * 5000, "x", ""])
def test_an_objection_to_the_count_of_iterations(iterations: str) -> None:
    mechanism = after_first()
    first = mechanism.cnonce + b"x,s=c2FsdA==,i=" + iterations.encode()
    assert mechanism.objection(b"r=" + first, last=False)


@pytest.mark.parametrize("iterations", [MIN_ITERATIONS, MAX_ITERATIONS])
def test_no_objection_within_the_bounds(iterations: int) -> None:
    mechanism = after_first()
    first = b"r=%bx,s=c2FsdA==,i=%d" % (mechanism.cnonce, iterations)
    assert mechanism.objection(first, last=False) == ""


def test_an_objection_to_a_nonce_that_is_not_ours_or_adds_nothing() -> None:
    mechanism = after_first()
    for nonce in (b"", b"x", mechanism.cnonce, b"x" + mechanism.cnonce):
        assert mechanism.objection(b"r=%b,s=c2FsdA==,i=4096" % nonce, last=False)


def test_an_objection_to_a_success_that_comes_too_early() -> None:
    mechanism = after_first()
    first = b"r=%bx,s=c2FsdA==,i=4096" % mechanism.cnonce
    assert mechanism.objection(first, last=True)
    assert mechanism.objection(b"", last=True)
    assert scram().objection(b"", last=True)


def test_an_objection_to_a_wrong_proof() -> None:
    mechanism = after_first()
    mechanism.process(b"r=%bx,s=c2FsdA==,i=4096" % mechanism.cnonce)
    right = b"v=" + b64encode(mechanism.server_signature)
    assert mechanism.objection(right, last=True) == ""
    for wrong in (b"v=", b"v=AAAA", right[:-5] + b"AAAA=", b"", b"e=other-error", b"v=!"):
        assert mechanism.objection(wrong, last=True)


@given(st.binary(max_size=80), st.booleans(), st.booleans())
def test_no_message_raises(message: bytes, last: bool, second: bool) -> None:
    mechanism = after_first()
    if second:
        mechanism.process(b"r=%bx,s=c2FsdA==,i=4096" % mechanism.cnonce)
    assert mechanism.objection(message, last=last)


@pytest.mark.parametrize(
    ("given", "prepared_as"),
    [
        ("I\N{SOFT HYPHEN}X", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\N{FEMININE ORDINAL INDICATOR}", "a"),
        ("\N{ROMAN NUMERAL NINE}", "IX"),
        (b"", ""),
        (" a b ", " a b "),
        ("gr\N{LATIN SMALL LETTER U WITH DIAERESIS}n".encode(), "gr\N{LATIN SMALL LETTER U WITH DIAERESIS}n"),
    ],
)
def test_names_and_passwords_are_prepared(given: str | bytes, prepared_as: str) -> None:
    """The examples of RFC 4013 section 3, and those that need no table."""
    assert prepared(given) == prepared_as


@pytest.mark.parametrize("text", ["\a", "\x7f", "\N{ARABIC LETTER ALEF}1"])
def test_what_no_password_may_hold_is_refused(text: str) -> None:
    with pytest.raises(UnicodeError):
        prepared(text)


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_is_prepared_as_slixmpp_does(text: str) -> None:
    try:
        expected = sasl._SASLPREP(text)
    except UnicodeError:
        with pytest.raises(UnicodeError):
            prepared(text)
    else:
        assert prepared(text) == expected
