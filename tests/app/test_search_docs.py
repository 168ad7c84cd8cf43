"""What docs/search.md says can be done can be done."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.app.pictures import plain
from tests.app.running import add

TEXT = (Path(__file__).parents[2] / "docs" / "search.md").read_text(encoding="utf-8")
BODIES = re.findall(r"^```json\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("body", BODIES)
def test_a_request_of_the_documentation_is_answered(client: TestClient, body: str) -> None:
    add(client, plain("red"), name="apple", metadata={"album": "Norway", "year": 2024})
    route = "/v1/classify" if "labels" in json.loads(body) else "/v1/search"
    answer = client.post(route, content=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["results"] or "boats" in body or "offset" in body or "min_relevance" in body
