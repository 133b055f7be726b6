"""The modbus driver reads from devices that misbehave: refuse, answer late or wrongly, or fall silent."""

import asyncio
import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.agent_house import until
from tests.unit.modbus_house import TWO, Answer, refused, registers, reply, serving


async def test_channels_beside_each_other_are_read_by_one_request() -> None:
    async with serving(registers, TWO) as (device, driver):
        assert await driver.read() == {"x": 7.0, "y": 7.0, "z": 7.0}
        assert device.asked == [bytes.fromhex("0300000007")]


def gaps_refused(request: bytes) -> bytes:
    """Serves registers 0, 5 and 6 only."""
    start, count = int.from_bytes(request[8:10], "big"), int.from_bytes(request[10:12], "big")
    if set(range(start, start + count)) <= {0, 5, 6}:
        return registers(request)
    return refused(request, 2)


async def test_a_device_that_refuses_gaps_is_asked_without_them() -> None:
    async with serving(gaps_refused, TWO) as (device, driver):
        assert await driver.read() == {"x": 7.0, "y": 7.0, "z": 7.0}
        device.asked.clear()
        assert await driver.read() == {"x": 7.0, "y": 7.0, "z": 7.0}
        assert device.asked == [bytes.fromhex("0300000001"), bytes.fromhex("0300050002")]


async def test_a_register_that_is_not_there_is_its_channels_error_alone() -> None:
    def without_6(request: bytes) -> bytes:
        last = int.from_bytes(request[8:10], "big") + int.from_bytes(request[10:12], "big") - 1
        return refused(request, 2) if last == 6 else registers(request)

    async with serving(without_6, TWO) as (_, driver):
        values = await driver.read()
        assert {name: values[name] for name in "xy"} == {"x": 7.0, "y": 7.0}
        assert isinstance(values["z"], OSError)
        assert "holding 6: exception 2, it has no such register; check register" in str(values["z"])


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda request: b"", "unit 1: nothing answers within 0.1 s; check unit"),
        (lambda request: registers(request)[:-1], "unit 1: half an answer"),
        (lambda request: b"SSH-2.0-OpenSSH_9.2p1\r\n", "unit 1: what came is no Modbus TCP"),
        (lambda request: reply(request, b"\3\2\0\7", unit=9), "unit 1: unit 9 answered instead"),
        (lambda request: reply(request, b"\3\4\0\7\0\7"), "an answer that does not fit the request"),
        (lambda request: refused(request, 11), "exception 11, the gateway got no answer from it"),
        (lambda request: refused(request, 6), "exception 6, it is busy"),
        (lambda request: refused(request, 99), "exception 99, no code of Modbus"),
    ],
)
async def test_what_goes_wrong_is_told(answer: Answer, words: str) -> None:
    async with serving(answer) as (_, driver):
        with pytest.raises(OSError, match=words):
            await driver.read()


async def test_a_lost_answer_is_asked_for_again_and_a_late_one_is_dropped() -> None:
    kept: list[bytes] = []

    def slow(request: bytes) -> bytes:
        kept.append(registers(request, len(kept)))
        # The first answer comes with the second; then each is one late, before its own.
        return b"" if len(kept) == 1 else kept[-2] + kept[-1]

    async with serving(slow) as (device, driver):
        assert await driver.read() == {"x": 0.0}
        assert len(device.asked) == 2
        assert await driver.read() == {"x": 2.0}
        assert await driver.read() == {"x": 3.0}


async def test_a_connection_that_ends_is_told_at_once() -> None:
    async with serving(registers) as (device, driver):
        assert await driver.read() == {"x": 7.0}
        device.answer = lambda request: device.writers[0].close() or b""  # type: ignore[func-returns-value]  # ends it
        with pytest.raises(ConnectionError, match="the line is gone; the device closed the connection"):
            await driver.read()
        with pytest.raises(ConnectionError, match="the line is gone"):
            await driver.read()
    with pytest.raises(OSError, match="not open"):
        await driver.read()


async def test_values_that_are_none_are_left_out() -> None:
    async with serving(lambda request: registers(request, 0x8000), TWO) as (_, driver):
        assert await driver.read() == {"y": 32768.0, "z": 32768.0}


async def test_a_reading_that_is_given_up_does_not_harm_the_next() -> None:
    async with serving(lambda request: b"") as (device, driver):
        reading = asyncio.create_task(driver.read())
        await until(lambda: bool(device.asked))
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        device.answer = registers
        assert await driver.read() == {"x": 7.0}


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=40), min_size=1, max_size=4), st.booleans())
def test_nothing_that_a_device_answers_raises_another_error(answers: list[bytes], framed: bool) -> None:
    async def try_it() -> None:
        turns = iter(range(1000))

        def answer(request: bytes) -> bytes:
            data = answers[next(turns) % len(answers)]
            return reply(request, data) if framed else data

        faults: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
        try:
            async with serving(answer, timeout=0.01) as (_, driver):
                assert (await driver.read()).keys() <= {"x"}
        except OSError as error:
            assert error.strerror  # noqa: PT017  # either outcome is right
        assert faults == []

    asyncio.run(try_it())


async def test_a_silent_device_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(lambda request: b"") as (_, driver):
        with pytest.raises(TimeoutError):
            await driver.read()
    assert [record for record in caplog.records if record.name.startswith("pymodbus")] == []
    assert logging.getLogger("pymodbus").getEffectiveLevel() == logging.CRITICAL
