"""The version of iotxmpp; the package's metadata has it from here, and asking that takes memory."""

VERSION = "0.1.0"
