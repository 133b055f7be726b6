"""What is loaded with slixmpp, and what only where it is needed; each in an interpreter of its own."""

import json
import subprocess
import sys
from typing import Any

LOADED = """
import asyncio, json, sys
import iotxmpp.xmpp
from iotxmpp.account import Account
from iotxmpp.xmpp.client import StrictClient
from slixmpp.xmlstream import resolver

async def main(host):
    StrictClient(Account(jid="d@example.org", password="p", host=host), resource=None)
    print(json.dumps([resolver.AIODNS_AVAILABLE, "pygments" in sys.modules, "pycares" in sys.modules]))

asyncio.run(main(json.loads(sys.argv[1])))
"""

ASKED = """
import asyncio, json
from types import SimpleNamespace
import iotxmpp.xmpp
from iotxmpp.account import Account
from iotxmpp.xmpp.client import StrictClient
from slixmpp.xmlstream import resolver

asked = []

class Dns:
    def __init__(self, **_):
        pass

    async def query_dns(self, name, kind):
        asked.append([name, kind])
        if "xmpps" in name:
            raise LookupError(name)
        data = SimpleNamespace(target="127.0.0.1", port=5299, priority=0, weight=0)
        return SimpleNamespace(answer=[SimpleNamespace(data=data)])

async def main():
    client = StrictClient(Account(jid="d@example.org", password="p"), resource=None)
    client.use_ipv6 = False
    resolver.aiodns.DNSResolver = Dns
    records = await client.get_dns_records("example.org")
    print(json.dumps([sorted(asked), records]))

asyncio.run(main())
"""


def test_an_agent_that_knows_its_host_loads_nothing_that_asks_dns() -> None:
    assert run(LOADED, json.dumps("127.0.0.1")) == [False, False, False]


def test_an_agent_that_does_not_know_its_host_can_ask_dns() -> None:
    assert run(LOADED, "null") == [True, False, True]


def test_a_server_without_a_host_is_looked_up() -> None:
    asked, records = run(ASKED)
    assert asked == [["_xmpp-client._tcp.example.org", "SRV"], ["_xmpps-client._tcp.example.org", "SRV"]]
    assert records == [["xmpp-client", "127.0.0.1", "127.0.0.1", 5299]]


def test_what_was_hidden_from_slixmpp_can_be_imported() -> None:
    code = (
        "import json, iotxmpp.xmpp, aiodns, pygments; print(json.dumps([aiodns.__name__, pygments.__name__]))"
    )
    assert run(code) == ["aiodns", "pygments"]


def test_what_the_program_has_loaded_already_stays() -> None:
    code = "import json, sys, aiodns; import iotxmpp.xmpp; print(json.dumps(sys.modules['aiodns'] is aiodns))"
    assert run(code) is True


def run(code: str, *arguments: str) -> Any:  # noqa: ANN401  # what the program says
    """What a program prints, as JSON."""
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)
