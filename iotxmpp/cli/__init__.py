"""The command line: one thin module a command."""

from iotxmpp.cli.app import main

__all__ = ["main"]
