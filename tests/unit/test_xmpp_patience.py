"""A service that fails for a moment is asked again; one that refuses, or goes on failing, is not."""

from typing import cast
from xml.etree.ElementTree import Element

import pytest

from iotxmpp.addresses import NodeAddress
from iotxmpp.errors import ConflictError, ForbiddenError, NotFoundError, StanzaError
from iotxmpp.link import Link
from iotxmpp.xmpp import patience
from iotxmpp.xmpp.patience import call_patiently
from iotxmpp.xmpp.provisioner import XmppProvisioner

SERVICE = "pubsub.localhost"
NODE = NodeAddress(service=SERVICE, node="iot/greenhouse/readings")


class Faulty:
    """A link whose service answers with these errors, one after the other, and then well."""

    def __init__(self, *errors: StanzaError) -> None:
        self.asked: list[str] = []
        self._errors = list(errors)

    @property
    def link(self) -> Link:
        return cast("Link", self)

    async def call(self, to: str, payload: Element, *, kind: str = "set") -> Element:
        self.asked.append(f"{kind} {next(iter(payload), payload).tag.partition('}')[2]}")
        if self._errors:
            raise self._errors.pop(0)
        return Element("answer")


def deadlock() -> StanzaError:
    """What ejabberd says where two transactions of its database wait for each other."""
    return StanzaError("internal-server-error", "Database failure")


async def ask(service: Faulty) -> Element | None:
    return await call_patiently(service.link, SERVICE, Element("{urn:test}ask"))


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PATIENCE", 0.2)


@pytest.mark.parametrize("condition", ["internal-server-error", "resource-constraint"])
async def test_a_failure_that_passes_is_not_told(condition: str) -> None:
    service = Faulty(StanzaError(condition), StanzaError(condition))
    answer = await ask(service)
    assert answer is not None
    assert answer.tag == "answer"
    assert service.asked == ["set ask"] * 3


@pytest.mark.parametrize("error", [ForbiddenError("forbidden"), StanzaError("bad-request")])
async def test_a_refusal_is_told_at_once(error: StanzaError) -> None:
    service = Faulty(error)
    with pytest.raises(StanzaError) as told:
        await ask(service)
    assert told.value is error
    assert service.asked == ["set ask"]


async def test_a_failure_that_does_not_pass_is_told_with_what_to_do(brief: None) -> None:
    service = Faulty(*(deadlock() for _ in range(1000)))
    with pytest.raises(
        StanzaError, match=r"Database failure; pubsub\.localhost failed .* try again later"
    ) as told:
        await ask(service)
    assert told.value.condition == "internal-server-error"
    assert f"failed {len(service.asked)} times" in told.value.text
    assert len(service.asked) > 1


@pytest.mark.parametrize("times", [1, 3])
async def test_a_node_is_deleted_though_the_database_fails_for_a_moment(times: int) -> None:
    service = Faulty(*(deadlock() for _ in range(times)))
    await XmppProvisioner(service.link).delete_node(NODE)
    assert service.asked == [*["get subscriptions"] * (times + 1), "set delete"]


async def test_a_node_that_was_deleted_in_spite_of_the_failure_is_gone() -> None:
    service = Faulty(deadlock(), NotFoundError("item-not-found"))
    await XmppProvisioner(service.link).delete_node(NODE)
    assert service.asked == ["get subscriptions"] * 2


async def test_all_nodes_are_listed_though_the_database_fails_for_a_moment() -> None:
    service = Faulty(deadlock())
    assert await XmppProvisioner(service.link).nodes(SERVICE) == []
    assert service.asked == ["get query"] * 2


async def test_an_account_is_not_made_twice() -> None:
    service = Faulty(deadlock())
    with pytest.raises(StanzaError, match="Database failure") as told:
        await XmppProvisioner(service.link).create_account("greenhouse@localhost", "a password")
    assert not isinstance(told.value, ConflictError)
    assert service.asked == ["set command"]
