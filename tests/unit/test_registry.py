"""What presence says of devices."""

import asyncio
import time
from typing import TYPE_CHECKING, Any, Literal, cast
from xml.etree.ElementTree import Element

import pytest

from iotxmpp.addresses import device_id
from iotxmpp.controller import registry as registry_module
from iotxmpp.controller.device import Device
from iotxmpp.controller.metrics import Metrics
from iotxmpp.controller.registry import Registry
from iotxmpp.errors import NoAnswerError, UnknownDeviceError
from iotxmpp.link import Link, LinkState, Presence
from iotxmpp.status import TAG, DeviceStatus

if TYPE_CHECKING:
    from iotxmpp.controller.rejection import Rejection

AGENT = "hall@localhost/agent"
PHONE = "hall@localhost/phone"

Show = Literal["", "away", "xa"]


class UpLink:
    state = LinkState(up=True)


def device(name: str) -> Device:
    return Device(device_id(name), f"{name}@localhost", link=cast("Link", UpLink()))


def here(sender: str = AGENT, *, show: Show = "", text: str = "", **status: Any) -> Presence:  # noqa: ANN401  # a model checks them
    given = {"heartbeat": 30, "uptime": 1, "version": "0.1.0", **status}
    available = given.pop("available", True)
    extensions = (DeviceStatus(**given).element(),)
    return Presence(sender=sender, available=available, show=show, text=text, extensions=extensions)


def gone(sender: str = AGENT) -> Presence:
    return Presence(sender=sender, available=False)


class Case:
    def __init__(self) -> None:
        self.rejections: list[Rejection] = []
        self.metrics = Metrics()
        self.registry = Registry(self.metrics, self.rejections.append)
        self.hall = device("hall")
        self.registry.add(self.hall)

    def told(self, presence: Presence) -> bool:
        return self.registry.take(presence) is not None


@pytest.fixture
async def case() -> Case:
    return Case()


async def test_at_first_nothing_is_known(case: Case) -> None:
    assert (case.hall.state, case.hall.online, case.hall.presence) == ("unknown", False, None)
    assert (case.hall.last_heard, case.hall.silence) == (None, None)


async def test_a_device_comes_and_goes(case: Case) -> None:
    presence = here()
    assert case.registry.take(presence) == (case.hall, presence)
    assert (case.hall.state, case.hall.online, case.hall.presence) == ("online", True, presence)
    assert getattr(case.hall.status, "heartbeat", None) == 30
    assert case.hall.silence is not None
    left = here(available=False, text="stopped by hand", why="stop")
    assert case.told(left)
    assert (case.hall.state, case.hall.presence) == ("offline", left)
    assert getattr(case.hall.status, "why", "") == "stop"
    assert not case.told(gone()), "what the server adds is no news"
    assert case.hall.presence == left


async def test_it_is_online_as_long_as_any_session_is(case: Case) -> None:
    case.told(here(AGENT))
    case.told(Presence(sender=PHONE))
    case.told(gone(AGENT))
    assert case.hall.online
    assert case.hall.presence == Presence(sender=PHONE)
    case.told(gone(PHONE))
    assert case.hall.state == "offline"


async def test_the_session_with_a_status_is_the_devices(case: Case) -> None:
    case.told(here(AGENT))
    assert not case.told(Presence(sender=PHONE))
    assert case.hall.presence is not None
    assert case.hall.presence.sender == AGENT


async def test_an_unavailable_bare_jid_is_the_whole_account(case: Case) -> None:
    case.told(here(AGENT))
    case.told(Presence(sender=PHONE))
    assert case.told(gone("hall@localhost"))
    assert case.hall.state == "lost", "nobody said goodbye"


async def test_a_heartbeat_is_no_news_but_a_problem_is(case: Case) -> None:
    assert case.told(here())
    assert not case.told(here(why="heartbeat", uptime=60))
    assert case.told(here(problems=("sensor lost",)))
    assert case.told(here(problems=("sensor lost",), show="away"))
    assert case.told(here(problems=("sensor lost",), show="away", text="cold"))


async def test_problems_are_shown_while_the_device_is_there(case: Case) -> None:
    def shown() -> str:
        (line,) = [each for each in case.metrics.text().splitlines() if each.startswith("iotxmpp_device_pro")]
        return line

    assert shown() == 'iotxmpp_device_problems{device="hall"} 0.0'
    case.told(here(problems=("no bus", "too hot")))
    assert shown() == 'iotxmpp_device_problems{device="hall"} 2.0'
    case.told(here(problems=("no bus",)))
    assert shown().endswith(" 1.0")
    case.registry.link_changed(LinkState(up=False))
    assert shown().endswith(" 0.0"), "unknown"
    case.registry.link_changed(LinkState(up=True, resumed=True))
    assert shown().endswith(" 1.0")
    case.told(here(problems=("no bus",), why="sleep", sleeping=60, show="xa"))
    assert case.hall.state == "sleeping"
    assert shown().endswith(" 1.0"), "asleep, as it was"
    case.told(here(why="change"))
    assert shown().endswith(" 0.0")
    case.told(here(problems=("no bus",), available=False, why="stop"))
    assert shown().endswith(" 0.0"), "it stopped"
    case.told(here(problems=("no bus",)))
    case.told(gone())
    assert shown().endswith(" 0.0"), "lost"
    case.registry.remove(device_id("hall"))
    assert "iotxmpp_device_problems{" not in case.metrics.text()


async def test_a_bad_status_is_rejected_and_the_presence_counts(case: Case) -> None:
    bad = Element(TAG, {"heartbeat": "-1"})
    assert case.told(Presence(sender=AGENT, extensions=(bad,)))
    assert (case.hall.online, case.hall.status) == (True, None)
    (rejection,) = case.rejections
    assert (rejection.code, rejection.node, rejection.publisher) == ("status", "presence", AGENT)
    assert "heartbeat" in rejection.error
    assert "urn:iotxmpp:status:0" in rejection.payload


async def test_a_stranger_is_ignored(case: Case) -> None:
    assert not case.told(here("cat@localhost/x"))
    assert not case.told(here("localhost"))
    assert list(case.registry.devices) == ["hall"]


async def test_presence_that_came_before_its_device_is_not_lost(case: Case) -> None:
    case.told(here("cellar@localhost/a"))
    case.told(here("attic@localhost/a"))
    case.told(gone("attic@localhost/a"))
    cellar, attic = device("cellar"), device("attic")
    assert case.registry.add(cellar) == [(cellar, cellar.presence)]
    assert case.registry.add(attic) == []
    assert (cellar.online, attic.online) == (True, False)


async def test_strangers_cannot_fill_the_memory(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "MAX_EARLY", 2)
    for number in range(5):
        case.told(here(f"cat{number}@localhost/x"))
    for number in range(50):
        case.told(here(f"cat0@localhost/{number}"))
    assert len(case.registry._early) == 2
    assert max(len(held) for held in case.registry._early.values()) == registry_module.MAX_SESSIONS


async def test_while_the_link_is_down_nothing_is_known(case: Case) -> None:
    case.told(here())
    case.registry.link_changed(LinkState(up=False, reason="cut"))
    assert (case.hall.state, case.hall.presence, case.hall.status) == ("unknown", None, None)
    case.registry.link_changed(LinkState(up=True, resumed=True))
    assert case.hall.online
    case.registry.link_changed(LinkState(up=False, reason="cut"))
    case.registry.link_changed(LinkState(up=True))
    assert (case.hall.state, case.hall.presence) == ("unknown", None)
    assert not case.told(here()), "it is as it was: no news"
    assert case.hall.online


async def test_who_does_not_come_back_after_a_cut_is_lost(case: Case) -> None:
    case.told(here())
    never = device("cellar")
    case.registry.add(never)
    case.registry.link_changed(LinkState(up=False, reason="cut"))
    assert list(case.registry.settle()) == []
    case.registry.link_changed(LinkState(up=True))
    assert list(case.registry.settle()) == [], "its own link may have been cut with ours"
    assert (case.hall.state, case.hall.presence, never.state) == ("unknown", None, "unknown")
    case.hall.pulse.liveness.tick(time.monotonic() + 3 * 30 + 5)
    case.hall.pulse.link_proved(time.monotonic() + 3 * 30 + 5)
    assert case.hall.state == "lost"
    assert case.registry.gone(case.hall) == (case.hall, Presence(sender="hall@localhost", available=False))
    assert case.registry.gone(case.hall) is None
    assert list(case.registry.settle()) == []


async def test_metrics_follow(case: Case) -> None:
    case.told(here())
    assert 'iotxmpp_device_online{device="hall"} 1.0' in case.metrics.text()
    assert "iotxmpp_devices 1.0" in case.metrics.text()
    case.registry.remove(case.hall.id)
    assert "hall" not in case.metrics.text()
    assert "iotxmpp_devices 0.0" in case.metrics.text()


async def test_an_unknown_device_is_told_with_the_known_ones(case: Case) -> None:
    with pytest.raises(UnknownDeviceError, match="no device 'hal' is known; known are: hall"):
        case.registry.device("hal")
    with pytest.raises(LookupError):
        case.registry.device("hal")


async def test_waiting_for_a_device(case: Case) -> None:
    waiting = asyncio.create_task(case.registry.wait_for("cellar", online=True, timeout=2))
    await asyncio.sleep(0)
    cellar = device("cellar")
    case.registry.add(cellar)
    assert await case.registry.wait_for("cellar", online=None, timeout=2) is cellar
    case.registry.take(here("cellar@localhost/a"))
    assert await waiting is cellar
    case.registry.take(gone("cellar@localhost/a"))
    assert await case.registry.wait_for("cellar", online=False, timeout=2) is cellar
    assert await case.registry.wait_for("cellar", online=None, state="lost", timeout=2) is cellar
    with pytest.raises(NoAnswerError, match=r"not sleeping .*; it is lost"):
        await case.registry.wait_for("cellar", online=None, state="sleeping", timeout=0.01)


async def test_a_state_shows_when_it_changed_and_why(case: Case) -> None:
    hall = case.hall
    assert not hall.liveness
    case.told(here())
    change = case.hall.liveness
    assert change is not None
    assert (change.old, change.new, change.why) == ("unknown", "online", "presence")
    assert abs(change.at - time.time()) < 5
    case.told(here(why="heartbeat"))
    assert case.hall.liveness is change


async def test_a_session_that_ends_without_a_goodbye_is_lost_and_a_sleeper_is_not(case: Case) -> None:
    case.told(here())
    case.told(gone())
    assert (case.hall.state, case.hall.online) == ("lost", False)
    case.told(here(why="sleep", sleeping=600))
    assert (case.hall.state, case.hall.online) == ("sleeping", False)
    case.told(gone())
    assert (case.hall.state, case.hall.online) == ("sleeping", False)
    case.told(here(why="start"))
    assert (case.hall.state, case.hall.online) == ("online", True)


async def test_another_session_of_the_account_is_no_sign_of_the_devices_life(case: Case) -> None:
    case.told(here())
    before = case.hall.last_heard, case.hall.pulse.liveness.next_at
    case.told(Presence(sender=PHONE, text="on the bus"))
    assert (case.hall.last_heard, case.hall.pulse.liveness.next_at) == before
    case.hall.hear()
    assert case.hall.pulse.liveness.next_at > before[1]


@pytest.mark.parametrize(
    ("name", "online", "says"),
    [
        ("hall", True, "not online.*it is unknown"),
        ("hall", False, "not offline"),
        ("x", None, "it is not known"),
    ],
)
async def test_waiting_ends(case: Case, name: str, online: bool | None, says: str) -> None:
    with pytest.raises(NoAnswerError, match=says):
        await case.registry.wait_for(name, online=online, timeout=0.01)
