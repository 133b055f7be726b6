"""A session and a board with bad wires between them: nothing runs twice, nothing wrong comes, all ends."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.board import BoardSession
from firmware_bridge.events import Answered, Lost, Outcome, Sampled
from firmware_bridge.noise import NoisyWire
from firmware_bridge.simulated import SimulatedBoard
from iotxmpp.errors import CommandError, LinkDownError
from tests.unit.bridge_house import COMMANDS, Clock, House

rates = st.sampled_from([0.0, 0.001, 0.01, 0.05])
cuts = st.sampled_from([0.0, 0.1])


class Trial:
    """Calls, faults and restarts, and what must hold whatever happens."""

    def __init__(self, up: NoisyWire, down: NoisyWire) -> None:
        clock = Clock()
        session = BoardSession(protocol="frames", wall=clock.wall, first_call=65_530)
        self.home = House(session, SimulatedBoard(commands=COMMANDS, every=0.1), clock, up=up, down=down)
        self.tokens: dict[int, int] = {}
        self.number = 0

    def call(self) -> None:
        self.number += 1
        try:
            self.tokens[self.home.call("switch", channel=self.number, on=True)] = self.number
        except (LinkDownError, CommandError):
            return

    def step(self) -> None:
        self.home.step()
        if self.home.events and isinstance(self.home.events[-1], Lost):
            self.home.events += self.home.session.open(self.home.clock.now)

    def run(self, seconds: float) -> None:
        end = self.home.clock.now + seconds
        while self.home.clock.now < end:
            self.step()

    def judge(self) -> None:
        home = self.home
        runs = [arguments["channel"] for name, arguments in home.board.ran if name == "switch"]
        assert len(runs) == len(set(runs))
        ended = [each.token for each in home.of(Answered)]
        assert sorted(ended) == sorted(self.tokens)
        for answer in home.of(Answered):
            ran = self.tokens[answer.token] in runs
            if answer.outcome is Outcome.DONE:
                assert ran
            elif answer.outcome is not Outcome.UNKNOWN:
                assert not ran, answer
        right = {20.0 + part / 4 for part in range(64)}
        for sample in home.of(Sampled):
            assert sample.values.keys() == {"temperature", "humidity"}
            assert set(sample.values.values()) <= right


@st.composite
def wires(draw: st.DrawFn) -> tuple[NoisyWire, NoisyWire]:
    """Both ways, with the same faults at other moments."""
    seed, faults = draw(st.integers(0, 2**32)), {each: draw(rates) for each in ("damage", "lose", "repeat")}
    cut = draw(cuts)
    return NoisyWire(seed, cut=cut, **faults), NoisyWire(seed + 1, cut=cut, **faults)


@given(wires(), st.lists(st.integers(0, 59), max_size=3), st.booleans())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_under_any_faults_commands_run_once_and_values_are_right(
    both: tuple[NoisyWire, NoisyWire], restarts: list[int], silent: bool
) -> None:
    up, down = both
    trial = Trial(up, down)
    for turn in range(60):
        if turn % 3 == 0:
            trial.call()
        if turn in restarts:
            trial.home.board.restart(trial.home.clock.now)
        trial.home.board.silent = silent and 20 <= turn < 25
        trial.run(0.2)
    up.heal()
    down.heal()
    trial.home.board.silent = False
    trial.run(30)
    trial.judge()
    assert trial.home.done("switch", channel=9999, on=True).outcome is Outcome.DONE
    trial.home.events.clear()
    trial.run(1)
    assert len(trial.home.of(Sampled)) >= 9


@pytest.mark.parametrize(("rate", "least"), [(0.001, 200), (0.01, 195)])
def test_two_hundred_commands_at_byte_errors(rate: float, least: int) -> None:
    trial = Trial(NoisyWire(3, damage=rate), NoisyWire(4, damage=rate))
    done = 0
    trial.run(2)
    for _ in range(200):
        trial.call()
        while len(trial.home.of(Answered)) < len(trial.tokens):
            trial.step()
    trial.judge()
    done = sum(each.outcome is Outcome.DONE for each in trial.home.of(Answered))
    assert done >= least
    assert trial.home.session.counts.damaged > 0
