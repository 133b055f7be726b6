"""Texts in a driver's settings that go to the system: ports, hosts and paths, without control characters."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def check_plain(text: str | Path) -> str | Path:
    """Refuses what no port, host or path that anybody meant has.

    Raises:
        ValueError: There is a control character.
    """
    if _CONTROL.search(str(text)):
        raise ValueError("a control character; give it without one")
    return text


PlainPath = Annotated[Path, AfterValidator(check_plain)]
"""A path."""

PlainName = Annotated[str, Field(strict=True, min_length=1), AfterValidator(check_plain)]
"""A port's or a host's name, which a number is not, even where numbers count as text."""
