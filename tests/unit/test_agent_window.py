"""How many live packs may be in flight: by the round trip, and by whether whole packs wait."""

from iotxmpp.agent.window import FAR, SHORT, SLOW, WIDEST, Window

GATHER = 0.02


def test_a_long_round_trip_opens_the_window_and_a_short_one_does_not() -> None:
    far, near = Window(GATHER), Window(GATHER)
    for _ in range(WIDEST + 4):
        far.accepted(0.3, others_waited=True)
        near.accepted(0.002, others_waited=True)
    assert (far.size, near.size) == (WIDEST, SHORT)
    far.trouble()
    assert far.size == WIDEST // 2
    for _ in range(WIDEST + 4):
        far.accepted(0.3, others_waited=False)
    assert far.size == 1


def test_a_busy_server_does_not_open_the_window() -> None:
    """Its round trip is long because packs wait for one another there; at times it still is short."""
    window = Window(GATHER)
    for took in (0.005, 0.1, 0.2, 0.3):
        window.accepted(took, others_waited=True)
    assert window.size == SHORT


def test_whole_packs_that_wait_open_the_window() -> None:
    window = Window(GATHER)
    for _ in range(WIDEST + 2):
        window.accepted(0.005, others_waited=True, whole=True)
    assert window.size == WIDEST
    window.accepted(0.005, others_waited=True)
    assert window.size == SHORT


def test_a_very_long_round_trip_opens_it_half_as_wide() -> None:
    """The last of so many packs would wait too long for its answer on a thin line."""
    window = Window(GATHER)
    for _ in range(WIDEST + 4):
        window.accepted(2 * SLOW, others_waited=True, whole=True)
    assert window.size == FAR
