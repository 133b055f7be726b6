"""What firmware_bridge/vectors.json holds; `python -m tests.unit.bridge_vectors` writes the file anew.

Its stuffing, check and bodies are not those of the package: byte by byte and bit by bit, as the standards
say.
"""

import json
import struct
from pathlib import Path
from typing import Any

PATH = Path(__file__).parents[2] / "firmware_bridge" / "vectors.json"

FLOAT, INT, BOOL, STR = range(4)
BOOT = 0xC0FFEE00


def crc(data: bytes) -> int:
    check = 0xFFFF
    for byte in data:
        check ^= byte << 8
        for _ in range(8):
            check = (check << 1 ^ 0x1021 if check & 0x8000 else check << 1) & 0xFFFF
    return check ^ 0xFFFF


def stuff(data: bytes) -> bytes:
    out, code_at, code = bytearray(1), 0, 1
    for number, byte in enumerate(data):
        if byte:
            out.append(byte)
            code += 1
        if not byte or code == 0xFF:
            out[code_at], code_at, code = code, len(out), 1
            if not byte or number < len(data) - 1:
                out.append(0)
    if code_at < len(out):
        out[code_at] = code
    return bytes(out)


def frame(body: bytes) -> bytes:
    return b"\0" + stuff(body + crc(body).to_bytes(2, "big")) + b"\0"


def text(words: str) -> bytes:
    return bytes((len(words.encode()),)) + words.encode()


def value(kind: int, given: Any) -> bytes:  # noqa: ANN401  # what JSON holds
    match kind:
        case 0:
            return struct.pack("<f", given)
        case 1:
            return struct.pack("<i", given)
        case 2:
            return bytes((given,))
        case _:
            return text(given)


def message(label: str, body: bytes, /, **fields: Any) -> dict[str, Any]:  # noqa: ANN401  # what JSON holds
    to = "board" if body[0] & 0x10 else "host"
    return {
        "kind": "message",
        "name": label,
        "to": to,
        "body": body.hex(),
        "frame": frame(body).hex(),
        "message": fields,
    }


def hello(name: str, *, started: bool, boot: int, texts: tuple[str, str, str], millis: int) -> dict[str, Any]:
    schema = 0 if name == "hello-empty" else 0x00A5
    rx, channels, commands = (16, 0, 0) if name == "hello-empty" else (60, 4, 2)
    numbers = struct.pack("<BBBIBHBBI", 1, 1, started, boot, rx, schema, channels, commands, millis)
    return message(
        name,
        numbers + b"".join(map(text, texts)),
        type="hello",
        protocol=1,
        started=started,
        boot=boot,
        rx=rx,
        schema=schema,
        channels=channels,
        commands=commands,
        millis=millis,
        id=texts[0],
        name=texts[1],
        version=texts[2],
    )


def channel(index: int, kind: int, name: str, unit: str, bounds: tuple[float, float] | None = None) -> bytes:
    head = bytes((2, index, kind, bounds is not None)) + text(name) + text(unit)
    return head if bounds is None else head + struct.pack("<ff", *bounds)


def described(
    index: int, kind: int, name: str, unit: str, bounds: tuple[float, float] | None = None
) -> dict[str, Any]:
    low, high = bounds or (None, None)
    return message(
        f"channel-{name}",
        channel(index, kind, name, unit, bounds),
        type="channel",
        index=index,
        kind=kind,
        name=name,
        unit=unit,
        low=low,
        high=high,
    )


def command(
    index: int, name: str, arguments: list[tuple[str, int, bool]], *, idempotent: bool
) -> dict[str, Any]:
    body = bytes((3, index, idempotent, len(arguments))) + text(name)
    for argument, kind, optional in arguments:
        body += bytes((kind, optional)) + text(argument)
    listed = [{"name": word, "kind": kind, "optional": optional} for word, kind, optional in arguments]
    return message(
        f"command-{name}",
        body,
        type="command",
        index=index,
        idempotent=idempotent,
        name=name,
        arguments=listed,
    )


def report(name: str, seq: int, millis: int, values: list[tuple[int, int, Any]]) -> dict[str, Any]:
    body = struct.pack("<BHI", 4, seq, millis)
    for index, kind, given in values:
        body += bytes((index,)) + value(kind, given)
    listed = [{"index": index, "kind": kind, "value": given} for index, kind, given in values]
    return message(f"report-{name}", body, type="report", seq=seq, millis=millis, values=listed)


def event(name: str, seq: int, millis: int, what: str, words: str) -> dict[str, Any]:
    body = struct.pack("<BHI", 5, seq, millis) + text(what) + text(words)
    return message(f"event-{name}", body, type="event", seq=seq, millis=millis, name=what, text=words)


def log(name: str, level: int, words: str) -> dict[str, Any]:
    return message(f"log-{name}", bytes((6, level)) + text(words), type="log", level=level, text=words)


def result(
    name: str, call: int, status: int, words: str = "", given: tuple[int, Any] | None = None
) -> dict[str, Any]:
    body = struct.pack("<BHB", 7, call, status) + text(words)
    if given is not None:
        body += bytes((given[0],)) + value(*given)
    told = None if given is None else {"kind": given[0], "value": given[1]}
    return message(f"result-{name}", body, type="result", call=call, status=status, text=words, value=told)


def call(name: str, number: int, index: int, arguments: list[tuple[int, Any]]) -> dict[str, Any]:
    body = struct.pack("<BHIB", 0x12, number, BOOT, index)
    for kind, given in arguments:
        body += b"\0" if given is None else b"\x01" + value(kind, given)
    listed = [{"kind": kind, "value": given} for kind, given in arguments]
    return message(f"call-{name}", body, type="call", call=number, boot=BOOT, index=index, arguments=listed)


def messages() -> list[dict[str, Any]]:
    """At least one of each type, and the corners of their fields."""
    return [
        hello("hello-started", started=True, boot=BOOT, texts=("weather-1", "weather", "1.0.0"), millis=1234),
        hello(
            "hello-asked", started=False, boot=1, texts=("küche", "weather", "1.0.0-rc.1"), millis=0xFFFFFFFF
        ),
        hello("hello-empty", started=False, boot=0, texts=("", "", ""), millis=0),
        described(0, FLOAT, "temperature", "Cel", (-40.0, 85.0)),
        described(1, INT, "count", ""),
        described(2, BOOL, "relay/1", ""),
        described(3, STR, "mode", ""),
        command(
            0, "switch", [("channel", INT, False), ("on", BOOL, False), ("for", FLOAT, True)], idempotent=True
        ),
        command(1, "reset", [], idempotent=False),
        report("each-kind", 1, 1000, [(0, FLOAT, 21.5), (1, INT, -7), (2, BOOL, True), (3, STR, "auto")]),
        report("short-float", 2, 2000, [(0, FLOAT, 21.1)]),
        report("zeros", 0, 0, [(0, FLOAT, 0.0), (1, INT, 0), (2, BOOL, False), (3, STR, "")]),
        report("greatest", 0xFFFF, 0xFFFFFFFF, [(1, INT, 2**31 - 1), (1, INT, -(2**31))]),
        report("no-values", 3, 3000, []),
        report("longest", 4, 4000, [(3, STR, "x" * 241)]),
        event("pressed", 5, 5000, "pressed", "button 1, long"),
        event("empty-text", 6, 6000, "door", ""),
        log("info", 1, "booting"),
        log("empty", 0, ""),
        log("longest", 3, "e" * 247),
        log("line-ends-in-it", 2, "a\nb\r"),
        result("done", 17, 0),
        result("float", 18, 0, "", (FLOAT, 0.5)),
        result("int", 19, 0, "counted", (INT, 256)),
        result("bool", 20, 0, "", (BOOL, True)),
        result("str", 21, 0, "", (STR, "")),
        result("failed", 0xFFFF, 1, "the valve does not move"),
        result("unknown-command", 1, 2, "no command 9"),
        result("bad-arguments", 2, 3, "channel: 1 to 4"),
        result("busy", 3, 4),
        result("other-boot", 4, 5),
        message("synced", struct.pack("<BBI", 8, 7, 123456), type="synced", token=7, millis=123456),
        message("who", b"\x10", type="who"),
        message("describe-channel", b"\x11\0\x03", type="describe", what=0, index=3),
        message("describe-command", b"\x11\x01\0", type="describe", what=1, index=0),
        call("all", 17, 0, [(INT, 1), (BOOL, True), (FLOAT, 2.5)]),
        call("left-out", 18, 0, [(INT, 1), (BOOL, False), (FLOAT, None)]),
        call("no-arguments", 0, 1, []),
        call("text", 19, 2, [(STR, "küche"), (STR, "")]),
        message(
            "sync",
            struct.pack("<BBIH", 0x13, 7, 1_795_224_000, 250),
            type="sync",
            token=7,
            unix=1_795_224_000,
            ms=250,
        ),
    ]


def stuffed(name: str, data: bytes) -> dict[str, Any]:
    return {"kind": "cobs", "name": name, "data": data.hex(), "encoded": stuff(data).hex()}


def stuffings() -> list[dict[str, Any]]:
    """Stuffing alone, runs that no frame of this protocol reaches among them."""
    run = bytes(range(1, 255))
    return [
        stuffed("cobs-empty", b""),
        stuffed("cobs-zero", b"\0"),
        stuffed("cobs-zeros", b"\0\0\0"),
        stuffed("cobs-one", b"\x11"),
        stuffed("cobs-zero-first", b"\0\x11\x22"),
        stuffed("cobs-zero-last", b"\x11\x22\0"),
        stuffed("cobs-zero-within", b"\x11\x22\0\x33"),
        stuffed("cobs-253", run[:253]),
        stuffed("cobs-254", run),
        stuffed("cobs-254-zero", run + b"\0"),
        stuffed("cobs-255", run + b"\xff"),
        stuffed("cobs-zero-254", b"\0" + run),
        stuffed("cobs-508", run + run),
    ]


def broken(name: str, to: str, wire: bytes, error: str) -> dict[str, Any]:
    return {"kind": "damaged", "name": f"damaged-{name}", "to": to, "frame": wire.hex(), "error": error}


def damaged() -> list[dict[str, Any]]:
    """Frames that no side may take: by their framing (`check`, `stuffing`, `length`), or, with a check that
    fits, by their message (`type`, `field`)."""
    good = frame(struct.pack("<BHI", 4, 1, 1000) + b"\0" + value(FLOAT, 21.5))
    residue = b"\x10\x00\x00"
    return [
        broken("one-bit", "host", good[:-4] + bytes((good[-4] ^ 8,)) + good[-3:], "check"),
        broken("stray-01", "host", good[:-1] + b"\x01\0", "check"),
        broken("byte-lost", "host", good[:4] + good[5:], "stuffing"),
        broken("run-over-end", "host", b"\0\x20\x04\x01\x02\x03\0", "stuffing"),
        broken("cut", "host", good[:6] + b"\0", "stuffing"),
        broken("too-short", "host", b"\0\x03\x06\x01\0", "length"),
        broken("too-long", "host", frame(b"\x06\x01\xf8" + b"y" * 248), "length"),
        broken(
            "check-little-endian",
            "board",
            b"\0" + stuff(b"\x10" + crc(b"\x10").to_bytes(2, "little")) + b"\0",
            "check",
        ),
        broken(
            "check-not-inverted",
            "board",
            b"\0" + stuff(b"\x10" + (crc(b"\x10") ^ 0xFFFF).to_bytes(2, "big")) + b"\0",
            "check",
        ),
        broken("check-zero", "board", b"\0" + stuff(residue) + b"\0", "check"),
        broken("unknown-type-to-host", "host", frame(b"\x1f\x01"), "type"),
        broken("unknown-type-to-board", "board", frame(b"\x1e\x01"), "type"),
        broken("report-ends-in-float", "host", frame(struct.pack("<BHI", 4, 1, 1000) + b"\0\0\0"), "field"),
        broken(
            "report-no-such-channel",
            "host",
            frame(struct.pack("<BHI", 4, 1, 1000) + b"\x09\0\0\0\0"),
            "field",
        ),
        broken("log-text-over-end", "host", frame(b"\x06\x01\x05abc"), "field"),
        broken("log-bytes-after", "host", frame(b"\x06\x01\x01ab"), "field"),
        broken("result-status-9", "host", frame(struct.pack("<BHB", 7, 1, 9) + b"\0"), "field"),
        broken("channel-kind-9", "host", frame(channel(0, 9, "x", "")), "field"),
        broken("who-bytes-after", "board", frame(b"\x10\x01"), "field"),
        broken("describe-cut", "board", frame(b"\x11\x01"), "field"),
        broken("call-cut", "board", frame(b"\x12\x01\x00\x01"), "field"),
        broken("sync-cut", "board", frame(b"\x13\x01\x00"), "field"),
    ]


def schemas() -> list[dict[str, Any]]:
    """The check of descriptions: CRC-16/GENIBUS over the bodies, one after the other."""
    bodies = [each["body"] for each in messages() if each["message"]["type"] in ("channel", "command")]
    return [
        {
            "kind": "schema",
            "name": "schema-all",
            "bodies": bodies,
            "schema": crc(bytes.fromhex("".join(bodies))),
        },
        {"kind": "schema", "name": "schema-none", "bodies": [], "schema": crc(b"")},
    ]


def streams() -> list[dict[str, Any]]:
    """What the host takes from a stream: bodies of frames, text lines, and how often there was damage."""
    one, two = (frame(struct.pack("<BHI", 4, seq, 1000) + b"\0" + value(FLOAT, 21.5)) for seq in (1, 2))
    bad = one[:-4] + bytes((one[-4] ^ 8,)) + one[-3:]

    def stream(name: str, data: bytes, *pieces: bytes | str | None) -> dict[str, Any]:
        told = [
            {"damage": True}
            if each is None
            else {"line": each}
            if isinstance(each, str)
            else {"body": each.hex()}
            for each in pieces
        ]
        return {"kind": "stream", "name": f"stream-{name}", "stream": data.hex(), "pieces": told}

    first, second = struct.pack("<BHI", 4, 1, 1000) + b"\0" + value(FLOAT, 21.5), b""
    second = first[:1] + b"\x02" + first[2:]
    return [
        stream("two-frames", one + two, first, second),
        stream("shared-zero", one + two[1:], first, second),
        stream("text-between", one + b"# hi\n" + two, first, "# hi", second),
        stream("text-before-and-after", b"a=1\r\n" + one + b"b=2\n", "a=1\r", first, "b=2"),
        stream("damage-then-frame", bad + two, None, second),
        stream("damage-then-text", bad + b"a=1\n" + two, None, "a=1", second),
        stream("opening-lost", one[1:] + two, None, second),
        stream("closing-lost", one[:-1] + two, first, second),
        stream("both-zeros-lost", one[:-1] + two[1:], None),
        stream("stray-zero-in-text", b"a=1\nb=\0" + b"2\nc=3\n", "a=1", None, "2", "c=3"),
        stream("line-cut-by-frame", b"a=1" + one, None, first),
        stream("zeros", b"\0" * 20 + one + b"\0" * 20 + b"a=1\n", first, "a=1"),
    ]


def vectors() -> list[dict[str, Any]]:
    return [*messages(), *stuffings(), *schemas(), *damaged(), *streams()]


def main() -> None:
    lines = ",\n".join(json.dumps(each, ensure_ascii=False) for each in vectors())
    PATH.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
