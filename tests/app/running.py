"""The service, opened in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.testclient import TestClient

from app import create_app
from app.inference.lane import Encoder
from app.settings import Settings
from app.startup import Startup
from tests.app.dummy import ColourEncoder


@contextmanager
def opened(settings: Settings, encoder: Encoder | None = None) -> Iterator[TestClient]:
    """A client of a service that has finished starting, well or not."""
    app = create_app(settings, encoder or ColourEncoder())
    with TestClient(app, raise_server_exceptions=False) as client:
        startup: Startup = app.state.startup
        assert startup.finished.wait(timeout=60)
        yield client


def add(client: TestClient, data: bytes, *, name: str | None = None, metadata: object = None) -> dict[str, Any]:
    """Add a picture, under an id if one is given; the record in the answer."""
    fields = {} if name is None else {"id": name}
    if metadata is not None:
        fields["metadata"] = json.dumps(metadata)
    answer = client.post("/v1/images", files={"file": data}, data=fields)
    assert answer.status_code == 201, answer.text
    image: dict[str, Any] = answer.json()["images"][0]
    return image
