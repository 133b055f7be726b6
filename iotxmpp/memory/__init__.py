"""The port in memory: a whole server in one process, for tests.

```python
server = MemoryServer()
await server.create_account("greenhouse@localhost", "secret")
async with server.link(Account.find("greenhouse@localhost", password="secret")) as link:
    ...
    server.drop("greenhouse@localhost")
```

It keeps every promise of `iotxmpp.link`, as Prosody and ejabberd do behind `iotxmpp.xmpp`, and can misbehave
on demand.
"""

from iotxmpp.memory.link import MemoryLink
from iotxmpp.memory.server import MemoryServer

__all__ = ["MemoryLink", "MemoryServer"]
