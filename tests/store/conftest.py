"""Stores of each kind."""

from collections.abc import Iterator

import pytest

from iotxmpp.controller.store import Store


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    opened = Store(store_url)
    yield opened
    opened.close()
