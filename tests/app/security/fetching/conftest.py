"""The two servers: one behind the firewall, one that may be asked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.app.loopback import Loopback, http, saying, talking
from tests.app.security.fetching.stranger import PICTURE, STRANGER


@pytest.fixture
def inside() -> Iterator[Loopback]:
    """A service on this very machine, which nobody may reach; the tests' end checks that nobody did."""
    with talking(saying(http(PICTURE))) as server:
        yield server
        assert server.heard == []


@pytest.fixture
def picture() -> Iterator[Loopback]:
    with talking(saying(http(PICTURE)), STRANGER) as server:
        yield server
