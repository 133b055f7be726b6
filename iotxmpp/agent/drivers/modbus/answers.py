"""Looks for the answer to a request in what came, before pymodbus sees it: noise and others' answers. Pure.

Section numbers are those of the Modbus application protocol 1.1b3.
"""

from dataclasses import dataclass

NORMAL_WRITES = frozenset({5, 6, 15, 16})
_FAILED = 0x80
_HEADER = 7
_LONGEST = 254
_NOISE = 32
_POLYNOMIAL = 0xA001


def _table() -> tuple[int, ...]:
    values = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        values.append(value)
    return tuple(values)


_CRC = _table()


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What was found.

    Attributes:
        frame: The whole answer; empty where there is none yet.
        fault: What came instead, for people; empty where nothing is wrong so far.
    """

    frame: bytes = b""
    fault: str = ""


def find_rtu(request: bytes, data: bytes) -> Found:
    """The answer on a serial line; what stands before it, such as a glitch of the line's turn, is skipped.

    Args:
        request: The request as it was sent, with its checksum.
        data: All that came since.
    """
    other: int | None = None
    # An adapter that hears itself gives the request back first; an answer to a write looks the same.
    heard = data.removeprefix(request) if len(data) > len(request) else data
    for start in range(min(len(heard), _NOISE)):
        for length in _lengths(request[:-2]):
            frame = heard[start : start + length + 2]
            if len(frame) != length + 2 or not _is_checked(frame):
                continue
            if frame[0] == request[0] and _answers(request[1:-2], frame[1:-2]):
                return Found(frame=frame)
            other = frame[0]
    if other is not None and other != request[0]:
        return Found(fault=f"unit {other} answered instead; two devices may have one address")
    if data and data != request:
        return Found(fault="a damaged answer (no right checksum)")
    return Found(fault="only its own request came back" if data else "")


def find_tcp(request: bytes, data: bytes) -> Found:
    """The answer over TCP; late answers to earlier requests are skipped.

    Args:
        request: The request as it was sent.
        data: All that came since.
    """
    fault = ""
    while len(data) >= _HEADER:
        length = int.from_bytes(data[4:6], "big")
        if data[2:4] != b"\0\0" or not 3 <= length <= _LONGEST:  # noqa: PLR2004  # unit, function, code
            return Found(fault="what came is no Modbus TCP")
        frame, data = data[: 6 + length], data[6 + length :]
        if len(frame) < 6 + length:
            return Found(fault=fault or "half an answer")
        if frame[:2] != request[:2]:
            continue
        if frame[6] != request[6]:
            fault = f"unit {frame[6]} answered instead"
        elif not _answers(request[_HEADER:], frame[_HEADER:]):
            fault = "an answer that does not fit the request"
        else:
            return Found(frame=frame)
    return Found(fault=fault or ("half an answer" if data else ""))


def _lengths(request: bytes) -> tuple[int, int]:
    """How long an answer may be without its checksum: a normal one, and one that refuses."""
    function, count = request[1], int.from_bytes(request[4:6], "big")
    if function in NORMAL_WRITES:
        return 6, 3
    return 3 + (-(-count // 8) if function in {1, 2} else 2 * count), 3


def _answers(request: bytes, answer: bytes) -> bool:
    """Whether a PDU answers another (sections 6 and 7)."""
    function = request[0]
    if answer[0] == function | _FAILED:
        return len(answer) == 2  # noqa: PLR2004  # function and code
    if answer[0] != function:
        return False
    if function in NORMAL_WRITES:
        return answer == request[:5]
    size = _lengths(b"\0" + request)[0] - 3
    return len(answer) == 2 + size and answer[1] == size


def _is_checked(frame: bytes) -> bool:
    """Whether a frame's CRC-16 (Modbus) is right: over all of it, it is 0 then."""
    value = 0xFFFF
    for byte in frame:
        value = value >> 8 ^ _CRC[(value ^ byte) & 0xFF]
    return value == 0
