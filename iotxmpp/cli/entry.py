"""Where the command line starts, and how an error ends it."""

import errno
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from iotxmpp.cli.exits import exit_code
from iotxmpp.errors import IotxmppError
from iotxmpp.xmltext import printable

_UNWRITABLE = frozenset({errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})
_VERBOSE = {"-v": 1, "-vv": 2, "--verbose": 1}


def main() -> None:
    """Runs the command line; every expected error is one line on stderr and an exit code.

    Only an error whose further lines are our own has more than one.
    """
    try:
        try:
            _run(sys.argv[1:])
        finally:
            if sys.stdout is not None:  # it is, where the shell has closed it
                sys.stdout.flush()
    except IotxmppError as error:
        text = printable(str(error), keep="\n" if error.own_lines else "")
        print(f"iotxmpp: {text}", file=sys.stderr)  # noqa: T201  # an agent runs without typer
        sys.exit(exit_code(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        _end_unwritable(error)


def _end_unwritable(error: OSError) -> NoReturn:
    """Ends with one line on stderr; with none where nobody reads any more."""
    from iotxmpp.cli.output import discard_output

    discard_output()  # else the interpreter fails on it once more
    if error.errno != errno.EPIPE:
        print(f"iotxmpp: {error.filename or 'standard output'}: {error.strerror}", file=sys.stderr)  # noqa: T201  # as above
    sys.exit(1)


def _run(arguments: Sequence[str]) -> None:
    agent = _agent_to_run(arguments)
    if agent is not None:
        _run_agent(*agent)
        return
    from iotxmpp.cli.app import app
    from iotxmpp.cli.output import replace_unspeakable_letters

    replace_unspeakable_letters()
    app()


def _agent_to_run(arguments: Sequence[str]) -> tuple[Path, int] | None:
    """File and verbosity of a plain `agent run FILE`: it goes past typer, which would stay in memory."""
    left, verbose = list(arguments), 0
    while left and left[0] in _VERBOSE:
        verbose += _VERBOSE[left.pop(0)]
    match left:
        case ["agent", "run", file] if not file.startswith("-"):
            return Path(file), verbose
    return None


def _run_agent(file: Path, verbose: int) -> None:
    from iotxmpp.cli.agent_run import run_agent
    from iotxmpp.cli.logs import set_up_logging

    set_up_logging(verbose)
    run_agent(file)
