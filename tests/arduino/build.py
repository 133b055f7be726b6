"""Builds sketches for an Uno with Debian's Arduino core, as its IDE would, and programs in C for here."""

import hashlib
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "firmware_bridge" / "arduino"
SOURCES = LIBRARY / "src"
CORE = Path("/usr/share/arduino/hardware/arduino/avr")
SIMAVR = Path("/usr/include/simavr/sim_avr.h")
CACHE = ROOT / "build" / "arduino"

_INCLUDES = (f"-I{CORE}/cores/arduino", f"-I{CORE}/variants/standard", f"-I{SOURCES}")
_BOARD = (
    "-mmcu=atmega328p",
    "-DF_CPU=16000000L",
    "-DARDUINO=10819",
    "-DARDUINO_AVR_UNO",
    "-DARDUINO_ARCH_AVR",
    # Debian's avr-gcc gives this to C only, and the core's strings ask for it in C++.
    "-DDECIMAL_DIG=__DECIMAL_DIG__",
)
_COMPILE = ("-c", "-g", "-Os", "-ffunction-sections", "-fdata-sections", "-flto", "-fno-fat-lto-objects")
_C = ("avr-gcc", *_COMPILE, "-std=gnu11", *_BOARD, *_INCLUDES)
_CPP = (
    "avr-g++",
    *_COMPILE,
    "-std=gnu++11",
    "-fpermissive",
    "-fno-exceptions",
    "-fno-threadsafe-statics",
    "-Wno-error=narrowing",
    *_BOARD,
    *_INCLUDES,
)
_LINK = ("avr-gcc", "-Os", "-g", "-flto", "-fuse-linker-plugin", "-Wl,--gc-sections", "-mmcu=atmega328p")
_STRICT = ("-Wall", "-Wextra", "-Werror")
_NATIVE = ("-std=c99", "-D_POSIX_C_SOURCE=200809L", "-D_XOPEN_SOURCE=700", "-O1", "-g", "-pedantic", *_STRICT)
SANITIZED = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@dataclass(frozen=True, kw_only=True)
class Firmware:
    """A sketch as it would be flashed.

    Attributes:
        elf: The file for a simulator.
        flash: Bytes of flash: code, tables, and the first values of variables.
        ram: Bytes of RAM without the stack: variables with and without a first value.
    """

    elf: Path
    flash: int
    ram: int


def missing() -> str:
    """What a sketch's build lacks here; empty if nothing."""
    programs = [
        name
        for name in ("avr-gcc", "avr-g++", "avr-size", "avr-objdump", "gcc")
        if shutil.which(name) is None
    ]
    paths = [str(path) for path in (CORE, SIMAVR, Path("/usr/include/libelf.h")) if not path.exists()]
    return ", ".join(programs + paths)


def require() -> None:
    """Fails, and says what to do, where something is missing: what is not built is not tested.

    Raises:
        AssertionError: Something is missing.
    """
    lacking = missing()
    assert not lacking, f"not installed: {lacking}; run .ci/setup-servers arduino"


def sketch(source: Path, folder: Path, *, library: bool = True) -> Firmware:
    """Compiles and links a sketch, the library strictly.

    Args:
        source: The `.ino` file.
        folder: Where its files go.
        library: Whether the library is linked; a sketch of level 0 needs none.
    """
    objects = [folder / f"{source.stem}.o"]
    _run(*_CPP, "-w", "-x", "c++", "-include", "Arduino.h", source, "-o", objects[0])
    if library:
        objects.append(folder / "iotx.o")
        _run(*_C, *_STRICT, SOURCES / "iotx.c", "-o", objects[1])
    elf = folder / f"{source.stem}.elf"
    _run(*_LINK, "-o", elf, *objects, _core(), "-lm")
    text, data, bss = (int(word) for word in _run("avr-size", elf).splitlines()[1].split()[:3])
    return Firmware(elf=elf, flash=text + data, ram=data + bss)


def program(source: Path, folder: Path, *options: str, libraries: Sequence[str] = ()) -> Path:
    """Compiles a program in C for this computer, strictly.

    Args:
        source: Its file.
        folder: Where it goes.
        options: Of the compiler, such as `-DIOTX_RX=255` and `SANITIZED`.
        libraries: Such as `-lsimavr`.
    """
    binary = folder / "-".join(
        [source.stem, *(word.strip("-").replace("=", "") for word in options if "IOTX" in word)]
    )
    # The harnesses include the core's source, and no harness uses all of it.
    unused = ("-Wno-unused-function",) if source.parent.name == "fuzz" else ()
    _run("gcc", *_NATIVE, *unused, *options, f"-I{SOURCES}", source, "-o", binary, *libraries)
    return binary


def _core() -> Path:
    """The Arduino core as an archive; it is built once and kept, as it never changes."""
    sources = sorted(path for path in (CORE / "cores" / "arduino").iterdir() if path.suffix in {".c", ".cpp"})
    version = _run("avr-gcc", "--version").splitlines()[0]
    state = [version, *_C, *_CPP, *(f"{path} {path.stat().st_mtime_ns}" for path in sources)]
    archive = CACHE / hashlib.sha256("\n".join(state).encode()).hexdigest()[:16] / "core.a"
    if archive.exists():
        return archive
    archive.parent.mkdir(parents=True, exist_ok=True)
    objects = [archive.parent / f"{source.name}.o" for source in sources]
    for source, target in zip(sources, objects, strict=True):
        _run(*(_C if source.suffix == ".c" else _CPP), "-w", source, "-o", target)
    fresh = archive.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    _run("avr-gcc-ar", "rcs", fresh, *objects)
    fresh.rename(archive)
    return archive


def _run(*words: str | Path) -> str:
    """What a program says; its errors are the test's."""
    ended = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    if ended.returncode:
        command = " ".join(str(word) for word in words)
        raise AssertionError(f"{command}\n{ended.stdout}{ended.stderr}")
    return ended.stdout


def library_for(processor: str, folder: Path, *options: str) -> Path:
    """The C core by itself, for any AVR and with options such as `-DIOTX_RX=16`."""
    target = folder / f"iotx-{processor}.o"
    words = [word for word in _C if not word.startswith("-mmcu")]
    _run(*words, *_STRICT, "-pedantic", f"-mmcu={processor}", *options, SOURCES / "iotx.c", "-o", target)
    return target


def fuzz_target(folder: Path) -> Path:
    """The libFuzzer target of the C core; needs clang."""
    target = folder / "c_core_libfuzzer"
    source = ROOT / "tests" / "fuzz" / "c_core_fuzz.c"
    words = (
        "-fsanitize=fuzzer,address,undefined",
        "-fno-sanitize-recover=all",
        "-DLIBFUZZER",
        "-DIOTX_BODY=72",
    )
    _run("clang", *_NATIVE, "-Wno-unused-function", *words, f"-I{SOURCES}", source, "-o", target)
    return target


def stack_depth(folder: Path) -> int:
    """Bytes of stack that the core takes on an Uno at most, without the sketch's handlers and the port.

    Raises:
        AssertionError: A function calls itself, by whatever way, or its frame has no fixed size.
    """
    library = folder / "iotx-stack.o"
    plain = [word for word in _C if "lto" not in word]
    _run(*plain, "-fstack-usage", SOURCES / "iotx.c", "-o", library)
    own: dict[str, int] = {}
    for line in library.with_suffix(".su").read_text(encoding="utf-8").splitlines():
        where, size, kind = line.split("\t")
        assert kind == "static", line
        own[where.rpartition(":")[2]] = int(size)
    calls = _calls(library, own)

    def depth(name: str, above: tuple[str, ...]) -> int:
        assert name not in above, f"{name} calls itself by {above}"
        return (
            own.get(name, 0)
            + 2
            + max((depth(each, (*above, name)) for each in calls.get(name, ())), default=0)
        )

    return max(depth(name, ()) for name in own)


def _calls(library: Path, names: Iterable[str]) -> dict[str, set[str]]:
    """Whom each function calls, by the relocations in its code."""
    starts = {}
    for line in _run("avr-objdump", "-t", library).splitlines():
        words = line.split()
        if words and words[-1].partition(".")[0] in names and " F " in line:
            starts[words[-3], int(words[0], 16)] = words[-1].partition(".")[0]
    found: dict[str, set[str]] = {}
    caller = ""
    for line in _run("avr-objdump", "-dr", library).splitlines():
        if line.endswith(">:"):
            caller = line.partition("<")[2][:-2].partition(".")[0]
        elif "R_AVR_CALL" in line or "R_AVR_13_PCREL" in line:
            target = line.split()[-1]
            section, _, offset = target.partition("+")
            name = starts.get((section, int(offset or "0", 16)), target.partition(".")[0])
            if name != caller and name in names:
                found.setdefault(caller, set()).add(name)
            # A jump inside a function has the same relocation as a call, but its target is no start.
            assert name != caller or "R_AVR_CALL" not in line, f"{caller} calls itself"
    return found
