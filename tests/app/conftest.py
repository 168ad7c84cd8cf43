from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app.settings import Settings
from tests.app.running import opened


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data", demo=False)


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    """A ready service on an empty data folder."""
    with opened(settings) as client:
        yield client
