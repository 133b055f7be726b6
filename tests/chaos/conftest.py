"""What the tests of the harnesses share."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that a server's user can enter; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory(prefix="iotxmpp-chaos-") as name:
        path = Path(name)
        path.chmod(0o711)
        yield path
