"""`iotxmpp server run`: what keeps it from starting, and a server that ends by itself."""

import os
import signal

from tests.live.cli_house import documents, one_line
from tests.live.terminal import Terminal


async def test_a_server_without_its_extra_makes_nothing(terminal: Terminal) -> None:
    (terminal.home / "sitecustomize.py").write_text("import sys\nsys.modules['cryptography'] = None\n")
    directory = terminal.home / "server"
    ended = await terminal.run("server", "run", "--directory", directory, PYTHONPATH=str(terminal.home))
    assert ended.code == 2, ended
    assert one_line(ended) == "iotxmpp: cryptography is not installed; run: pip install 'iotxmpp[server]'"
    assert not directory.exists()


async def test_a_server_that_ends_by_itself_is_told(terminal: Terminal) -> None:
    words = ("server", "run", "--kind", "prosody", "--directory", terminal.home / "server", "--json")
    async with terminal.started(*words) as started:
        await started.says("\n")
        os.kill(int(str(documents(started.out)[0]["pid"])), signal.SIGKILL)
        ended = await started.end()
    assert ended.code == 1
    assert "prosody ended by itself; its log is" in ended.err
    assert terminal.left_behind == []


async def test_a_second_server_in_a_directory_says_that_it_waits(terminal: Terminal) -> None:
    words = ("server", "run", "--kind", "prosody", "--directory", terminal.home / "server")
    async with terminal.started(*words) as first:
        await first.says("Next: ")
        async with terminal.started(*words, "--json") as second:
            await second.says(f"waiting for the server in {terminal.home / 'server'} to end\n", on="err")
            assert (await first.end(signal.SIGTERM)).code == 0
            await second.says("\n")
            assert (await second.end(signal.SIGTERM)).code == 0


async def test_a_server_directory_that_holds_other_things(terminal: Terminal) -> None:
    (terminal.home / "letters").mkdir()
    (terminal.home / "letters" / "letter.txt").write_text("Dear …")
    ended = await terminal.run("server", "run", "--kind", "prosody", "--directory", terminal.home / "letters")
    assert ended.code == 1
    assert "holds other things; choose a new or empty one" in ended.err
    assert [each.name for each in (terminal.home / "letters").iterdir()] == ["letter.txt"]
