"""Sensors whose functions return or raise what can be neither written nor compared."""

import asyncio

import pytest

from iotxmpp.about import Channel
from iotxmpp.errors import InvalidError
from iotxmpp.serving.offloop import call
from tests.unit.agent_house import until
from tests.unit.sensor_bench import Bench, sensor


class Unspeakable:
    """A foreign value that can be neither shown nor compared."""

    def __repr__(self) -> str:
        raise SystemExit("no name")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no equal")

    def __hash__(self) -> int:
        return hash("b")

    @property  # type: ignore[misc]  # foreign code, on purpose
    def __class__(self) -> type:
        raise RuntimeError("no class")


class SilentError(Exception):
    """One that cannot tell its text."""

    def __str__(self) -> str:
        raise SystemExit("no text")


HUGE = 1 << 70_000
"""An integer that Python refuses to write: more than 4300 digits."""


# Parameters are in lists: pytest, too, writes those that are not.
@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([HUGE], "a: an integer of 70001 bits is int, expected bool"),
        ([-HUGE], "a: an integer of 70001 bits is int, expected bool"),
        (["x" * 10**6], f"a: 'xx{'x' * 77} is str, expected bool"),
        ([Unspeakable()], "a: RuntimeError: no class"),
    ],
)
async def test_a_value_that_cannot_be_shown_is_a_problem_of_its_channel_alone(
    value: list[object], text: str
) -> None:
    bench = Bench()
    both = {"a": Channel(type="bool"), "b": Channel(type="bool")}
    async with bench.run(sensor(lambda: {"a": value[0], "b": True}, both)):
        await until(lambda: bench.values("b")[:2] == [True, True])
        assert bench.problems.texts() == (text,)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ([HUGE], "several: returned an integer of 70001 bits, which is none of its channels"),
        ([Unspeakable()], "several: RuntimeError: no equal"),
        ([("x",)], "several: returned a tuple, which is none of its channels"),
    ],
)
async def test_a_name_that_cannot_be_shown_is_a_problem(name: list[object], text: str) -> None:
    def several() -> dict[object, bool]:
        return {name[0]: True}

    bench = Bench()
    both = {"a": Channel(type="bool"), "b": Channel(type="bool")}
    async with bench.run(sensor(several, both)):
        await until(lambda: bench.problems.texts() == (text,))
        await asyncio.sleep(0.02)
        assert bench.problems.texts() == (text,)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (SilentError(), "a: SilentError"),
        (ValueError(HUGE), "a: ValueError"),
        (InvalidError(HUGE), "a: InvalidError"),
        (GeneratorExit("enough"), "a: RuntimeError: GeneratorExit: enough"),
        (SystemExit("enough"), "a: RuntimeError: SystemExit: enough"),
    ],
)
async def test_whatever_a_coroutine_function_raises_is_a_problem(error: BaseException, text: str) -> None:
    async def raising() -> float:
        raise error

    bench = Bench()
    async with bench.run(sensor(raising, "a")):
        await until(lambda: bench.problems.texts() == (text,))
        await asyncio.sleep(0.02)


async def test_a_call_that_is_closed_ends_as_a_coroutine_does() -> None:
    ended = []

    async def waiting() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(1)

    calling = call(waiting)
    calling.send(None)
    calling.close()
    assert ended == [1]
