"""What the programs of chaos share: a run on each server that is wanted, and what becomes of its folder."""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NoReturn, Protocol

from iotxmpp.server import ServerKind

SERVERS = {"prosody": [ServerKind.PROSODY], "ejabberd": [ServerKind.EJABBERD], "both": list(ServerKind)}

Say = Callable[[str], None]


class Verdict(Protocol):
    """What a run ends with; it says in words what was found."""

    faults: list[str]


Run = Callable[[ServerKind, Path, Say], Coroutine[Any, Any, Verdict]]


def new_parser() -> argparse.ArgumentParser:
    """The options that every run has."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", choices=SERVERS, default="both")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    return parser


def run_each(name: str, server: str, run: Run) -> NoReturn:
    """Runs on each server, and ends with 0 if every verdict is right, else with 1.

    What the processes wrote is kept where a verdict is wrong.
    """
    right = True
    for kind in SERVERS[server]:
        folder = Path(tempfile.mkdtemp(prefix=f"iotxmpp-{name}-{kind}-"))
        folder.chmod(0o711)
        say = _teller(kind)
        verdict = asyncio.run(run(kind, folder, say))
        say(str(verdict))
        if verdict.faults:
            right = False
            print(f"what the processes wrote is kept in {folder}", flush=True)
        else:
            shutil.rmtree(folder)
    sys.exit(0 if right else 1)


def _teller(kind: ServerKind) -> Say:
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{kind} {time.monotonic() - began:7.1f} s  {text}", flush=True)

    return say
