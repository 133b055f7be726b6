"""The program's version and help, and what it says to a wrong command line."""

import asyncio

from iotxmpp import __version__
from iotxmpp.cli.app import app
from tests.live.cli_house import ELSEWHERE, saved
from tests.live.terminal import Terminal


def commands() -> list[tuple[str, ...]]:
    """Every command and group of the program, by its words."""
    groups = [(str(each.name), each.typer_instance) for each in app.registered_groups if each.typer_instance]
    return [
        (),
        *((str(each.name),) for each in app.registered_commands),
        *((name,) for name, _ in groups),
        *((name, str(each.name)) for name, group in groups for each in group.registered_commands),
    ]


async def test_version(terminal: Terminal) -> None:
    assert await terminal.good("--version") == f"iotxmpp {__version__}\n"


async def test_every_command_helps(terminal: Terminal) -> None:
    assert len(commands()) >= 15
    ended = await asyncio.gather(*(terminal.run(*words, "--help") for words in commands()))
    for words, each in zip(commands(), ended, strict=True):
        assert (each.code, each.err) == (0, ""), words
        assert " ".join(("Usage: python -m iotxmpp", *words)) in each.out


async def test_wrong_usage_ends_with_2_and_says_what_is_wrong(terminal: Terminal) -> None:
    account = saved(ELSEWHERE, terminal.home, "elsewhere")
    wrong = {
        ("fly",): "No such command 'fly'",
        ("call", "greenhouse"): "Missing argument 'command'",
        ("watch", "--every", "2"): "No such option",
        ("call", "Green House", "water", "-a", account): "device id 'Green House': use 1 to 63 of a-z, 0-9",
        ("device", "add", "../etc", "-a", account): "device id '../etc': use 1 to 63",
        ("device", "add", "x", "-a", account, "--controller", "house"): "JID 'house': expected name@domain",
        ("server", "run", "--kind", "openfire"): "server 'openfire': choose prosody or ejabberd",
        ("server", "run", "--port", "80"): "port 80",
        ("server", "run", "--domain", "Local Host"): "domain 'Local Host'",
        ("demo", "--server", "openfire"): "server 'openfire': choose prosody, ejabberd or memory",
    }
    ended = await asyncio.gather(*(terminal.run(*arguments) for arguments in wrong))
    for arguments, each in zip(wrong, ended, strict=True):
        assert (each.code, each.out) == (2, ""), each
        assert wrong[arguments] in each.err
