"""`python -m iotxmpp` is the command line."""

from iotxmpp.cli import main

main()
