"""Figures that both servers are tuned by."""

STANZA_BYTES = 262144
"""The largest stanza of a client, in bytes."""

ITEMS_A_NODE = 10000
"""The most items that a node may be configured to keep."""

QUIET_SECONDS = 20
"""How long a client may be silent before the server asks whether it is there."""

RESUME_SECONDS = 20
"""How long a cut session can be resumed (XEP-0198); until then the others still see it available."""

CLOSE_SECONDS = 1
"""How long a stopping server waits for clients that do not answer its goodbye."""

GARBAGE_PERCENT = 200
"""How far Prosody's memory grows between two collections of its garbage, in per cent of what is in use.

This is Lua's own figure. By Prosody's, 105, it looks through all of its memory for each twentieth that is
new, which was half of an item's time. It costs 3 MB.
"""
