"""The command line: one thin module a command."""

from iotxmpp.cli.entry import main

__all__ = ["main"]
