"""What a fresh interpreter has loaded at the end of a script."""

import json
import subprocess
import sys

from tests.unit.documents import ROOT


def loaded_by(script: str, *arguments: str) -> set[str]:
    """The modules that a fresh interpreter has loaded at the end of a script."""
    tail = "\nimport json as _json, sys as _sys\nprint('loaded', _json.dumps(sorted(_sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script + tail, *arguments],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
    )
    words, _, modules = done.stdout.strip().rpartition("loaded ")
    assert words.strip() == ""
    return set(json.loads(modules))


def tops(modules: set[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules}
