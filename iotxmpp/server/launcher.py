"""Becomes a server that ends with its parent and has no rights of an administrator.

Run as a program, by path and with the standard library alone: it drops to another user, asks the kernel to be
killed at the parent's death, and turns into the server. Doing this after the fork in a process with threads
would not be safe.
"""

import ctypes
import os
import resource
import signal
import sys

KEEP = "-"
"""Stands for a user or a group that stays as it is."""

_PR_SET_PDEATHSIG = 1
_MOST_FILES = 65536


def main(arguments: list[str]) -> None:
    """Takes: the parent's process id, user id, group id, the program's path and its arguments."""
    parent, user, group, *command = arguments
    try:
        _raise_file_limit()
        _drop_rights(user, group)
        os.umask(0o077)
        _end_with_parent(int(parent))
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and that would be inherited
        os.execv(command[0], command)  # noqa: S606  # becoming that program is the purpose
    except OSError as error:
        sys.exit(f"cannot start {command[0]}: {error}")


def _raise_file_limit() -> None:
    # One client is one file. A limit without bound makes Erlang allocate gigabytes.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _drop_rights(user: str, group: str) -> None:
    if user == KEEP:
        return
    os.setgroups([])
    os.setresgid(int(group), int(group), int(group))
    os.setresuid(int(user), int(user), int(user))


def _end_with_parent(parent: int) -> None:
    # After the change of user, which would clear it; the kernel keeps it over the exec. No milder signal ends
    # a process that hangs or is stopped, and nobody is left to send a second one.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        sys.exit("the parent ended before its server began")


if __name__ == "__main__":
    main(sys.argv[1:])
