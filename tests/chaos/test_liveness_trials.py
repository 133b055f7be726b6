"""How soon, and how surely, a controller knows that a device is gone: real processes, servers and faults.

`make liveness` runs many trials and a long run with packet loss; by themselves the tests take a short form.
"""

import asyncio
import os
import signal
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from iotxmpp.account import Account
from iotxmpp.controller import Change, Device
from iotxmpp.server import ServerKind, ServerProcess
from tests.live.site import PATIENCE, Site, name_of, until
from tests.proxy import Proxy

TRIALS = int(os.environ.get("LIVENESS_TRIALS", "1"))
LOSS_SECONDS = float(os.environ.get("LIVENESS_LOSS_SECONDS", "8"))
HEARTBEAT = 1.0
BOUND = 3 * HEARTBEAT + 5.0
LOSS = 0.05
DISTANT = 3
SLACK = 0.25
"""Seconds that the loop of the tests itself may be late on a busy machine."""


@pytest.fixture(params=[str(kind) for kind in ServerKind])
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    server: ServerProcess = request.getfixturevalue(request.param)
    async with Site(server, tmp_path) as site:
        yield site


@dataclass
class Patient:
    """A device in a process of its own behind a proxy of its own, as the controller sees it."""

    account: Account
    proxy: Proxy
    process: asyncio.subprocess.Process
    changes: list[tuple[float, Change]] = field(default_factory=list)

    async def after(self, began: float, state: str) -> float:
        """Seconds from a moment to the first change to this state; a link may be slow to try again."""
        what = f"{self.account.jid} is {state}"
        await until(lambda: self._found(began, state) is not None, what, seconds=4 * PATIENCE)
        found = self._found(began, state)
        assert found is not None
        return found - began

    def _found(self, began: float, state: str) -> float | None:
        return next((at for at, change in self.changes if at >= began and change.new == state), None)

    def states_after(self, began: float) -> list[str]:
        return [change.new for at, change in self.changes if at >= began]


class Ward:
    """The patients of one site, and the controller that watches them."""

    def __init__(self, site: Site, account: Account) -> None:
        self.site = site
        self.account = account
        self.patients: dict[str, Patient] = {}
        self.controller = site.controller(account)
        self.controller.on_liveness(self._changed)
        self._stack = AsyncExitStack()

    async def _changed(self, device: Device, change: Change) -> None:
        if device.id in self.patients:
            self.patients[device.id].changes.append((time.monotonic(), change))

    async def admit(self, name: str) -> Patient:
        """Starts a device; returns when it is online."""
        account = await self.site.device(name, self.account)
        proxy = await self._stack.enter_async_context(Proxy("127.0.0.1", self.site.server.port))
        folder = self.site.folder / str(name_of(account))
        folder.mkdir()
        account.model_copy(update={"port": proxy.port}).save(folder / "account.toml")
        (folder / "agent.toml").write_text(
            'account = "account.toml"\nprofile = "relay4"\ndriver.kind = "simulated"\n'
            f"every = 3600\nheartbeat = {HEARTBEAT}\n"
        )
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "iotxmpp", "agent", "run", str(folder / "agent.toml")),
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, "IOTXMPP_STATE": str(folder / "state")},
        )
        self._stack.push_async_callback(_end, process)
        patient = Patient(account=account, proxy=proxy, process=process)
        self.patients[name_of(account)] = patient
        await self.controller.wait_for(name_of(account), state="online", timeout=4 * PATIENCE)
        await asyncio.sleep(HEARTBEAT / 2)  # its readings at the start are through
        return patient

    async def close(self) -> None:
        """Ends the devices."""
        await self._stack.aclose()


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGCONT)
        process.kill()
    await process.wait()


@asynccontextmanager
async def ward_of(site: Site) -> AsyncIterator[Ward]:
    ward = Ward(site, await site.account("house"))
    async with ward.controller:
        try:
            yield ward
        finally:
            await ward.close()


# What can happen to a device: the state that it must show, and what brings it back, if that is possible.


def reset(patient: Patient) -> None:
    patient.proxy.refuse()


def black_hole(patient: Patient) -> None:
    patient.proxy.black_hole()


def resume(patient: Patient) -> None:
    patient.proxy.resume()


def freeze(patient: Patient) -> None:
    patient.process.send_signal(signal.SIGSTOP)


def thaw(patient: Patient) -> None:
    patient.process.send_signal(signal.SIGCONT)


def kill(patient: Patient) -> None:
    patient.process.kill()


def stop(patient: Patient) -> None:
    patient.process.terminate()


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Something that happens to a device."""

    name: str
    strike: Callable[[Patient], None]
    state: str
    within: float
    undo: Callable[[Patient], None] | None = None


FAULTS = (
    Fault(name="reset", strike=reset, state="lost", within=BOUND, undo=resume),
    Fault(name="black hole", strike=black_hole, state="lost", within=BOUND, undo=resume),
    Fault(name="SIGSTOP", strike=freeze, state="lost", within=BOUND, undo=thaw),
    Fault(name="kill -9", strike=kill, state="lost", within=BOUND),
    Fault(name="clean stop", strike=stop, state="offline", within=3.0),
)


async def trial(ward: Ward, fault: Fault, patient: Patient, times: dict[str, list[float]]) -> None:
    """One fault, timed; and its end."""
    began = time.monotonic()
    fault.strike(patient)
    took = await patient.after(began, fault.state)
    times.setdefault(f"{fault.name} → {fault.state}", []).append(took)
    assert took <= fault.within + SLACK, f"{fault.name}: {took:.2f} s until {fault.state}"
    assert set(patient.states_after(began)) <= {"stale", fault.state}
    if fault.undo is not None:
        ended = time.monotonic()
        fault.undo(patient)
        times.setdefault(f"{fault.name} over → online", []).append(await patient.after(ended, "online"))


async def test_every_fault_shows_in_time(site: Site) -> None:
    times: dict[str, list[float]] = {}
    async with ward_of(site) as ward:
        for number in range(TRIALS):
            patients = await asyncio.gather(
                *(ward.admit(f"p{number}-{index}") for index in range(len(FAULTS)))
            )
            trials = [trial(ward, *each, times) for each in zip(FAULTS, patients, strict=True)]
            await asyncio.gather(*trials)
            for patient in patients:
                await _end(patient.process)
    report(f"{site.kind}: seconds until the right state, heartbeat {HEARTBEAT:g} s, bound {BOUND:g} s", times)
    assert {len(each) for each in times.values()} == {TRIALS}


async def blink(ward: Ward, patient: Patient) -> None:
    """A reset of the connection; returns when the device is back, and has said so."""
    device = ward.controller.device(name_of(patient.account))
    before = time.monotonic()

    def is_back() -> bool:
        says = device.status is not None and device.status.why == "reconnect"
        return says and device.silence is not None and device.silence < time.monotonic() - before

    patient.proxy.reset()
    await until(is_back, "it is back, and says so")


async def test_a_connection_that_is_back_at_once_is_never_lost(site: Site) -> None:
    async with ward_of(site) as ward:
        patients = await asyncio.gather(*(ward.admit(f"blinks-{index}") for index in range(TRIALS)))
        began = time.monotonic()
        for _ in range(2):  # after more, the pauses between attempts are longer than the bound
            await asyncio.gather(*(blink(ward, patient) for patient in patients))
        for patient in patients:
            assert set(patient.states_after(began)) <= {"online", "stale"}


async def test_packet_loss_loses_nobody(site: Site) -> None:
    async with ward_of(site) as ward:
        patients = await asyncio.gather(*(ward.admit(f"far-{index}") for index in range(DISTANT)))
        began = time.monotonic()
        for index, patient in enumerate(patients):
            patient.proxy.lossy(LOSS, seed=index)
        longest = dict.fromkeys(ward.patients, 0.0)
        while time.monotonic() - began < LOSS_SECONDS:
            for name in longest:
                longest[name] = max(longest[name], ward.controller.device(name).silence or 0.0)
            await asyncio.sleep(0.05)
        seen = [state for patient in patients for state in patient.states_after(began)]
        counts = {state: seen.count(state) for state in sorted(set(seen))}
        print(
            f"\n{site.kind}: {LOSS_SECONDS:g} s, {LOSS:.0%} lost, {len(patients)} devices: changes {counts},"
            f" longest silence {max(longest.values()):.2f} s"
        )
        assert set(seen) <= {"online", "stale"}
        for patient in patients:
            patient.proxy.resume()


def report(title: str, times: dict[str, list[float]]) -> None:
    """Prints the distribution."""
    print(f"\n{title}")
    print(f"{'':24}{'n':>5}{'least':>8}{'median':>8}{'p90':>8}{'most':>8}")
    for name, each in times.items():
        ranked = sorted(each)
        p90 = ranked[min(len(ranked) - 1, int(0.9 * len(ranked)))]
        shown = (ranked[0], statistics.median(ranked), p90, ranked[-1])
        print(f"{name:24}{len(each):>5}" + "".join(f"{value:8.2f}" for value in shown))
