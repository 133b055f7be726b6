"""The publisher by hand, its stream managed (XEP-0198) as iotxmpp's link has it."""

import asyncio

from versus.socket_device import main

if __name__ == "__main__":
    asyncio.run(main(managed=True))
