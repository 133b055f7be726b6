"""The language that chooses devices, such as `profile=relay4 and site=north`; docs/where.md describes it.

Every command over many devices parses it here. No I/O: who asks brings the facts of each device.
"""

from iotxmpp.where.conditions import Facts
from iotxmpp.where.fault import WhereError
from iotxmpp.where.language import DEEPEST, FIELDS, LONGEST, Where, parse_where

__all__ = ["DEEPEST", "FIELDS", "LONGEST", "Facts", "Where", "WhereError", "parse_where"]
