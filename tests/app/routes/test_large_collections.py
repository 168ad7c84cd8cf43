"""What a client sees of a collection that is searched by lists: honest answers, filters that hold, changes at once."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from app.index import exact
from app.records.record import Entry
from app.settings import Settings
from app.storage.catalog import Catalog
from app.storage.folder import DataFolder
from tests.app.dummy import ColourEncoder
from tests.app.pictures import plain
from tests.app.running import add, opened

COUNT, EVERY = 600, 20
"""Pictures, and of how many one is rare."""


def entry(number: int) -> Entry:
    return Entry(
        id=f"p{number}",
        sha256=f"{number:064x}",
        content_type="image/png",
        bytes=100,
        width=32,
        height=24,
        created_at="2026-01-01T00:00:00Z",
        metadata={"number": number, "rare": number % EVERY == 0},
    )


VECTORS = np.abs(np.random.default_rng(0).standard_normal((COUNT, ColourEncoder.dim), dtype=np.float32))
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)


@pytest.fixture
def large(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """A service that holds some hundred vectors for many."""
    monkeypatch.setattr(exact, "EXACT_UP_TO", 100)
    monkeypatch.setattr("app.index.recall._WORTH", 1e9)
    with DataFolder(settings.data) as folder:
        catalog = Catalog(folder.catalog)
        with catalog.change() as change:
            change.insert([entry(number) for number in range(COUNT)], VECTORS, ColourEncoder().fingerprint)
        catalog.close()
    with opened(settings) as client:
        end = time.monotonic() + 60
        while "parallax_index_exact 0.0" not in client.get("/metrics").text:
            assert time.monotonic() < end, "no lists are learned"
            time.sleep(0.05)
        yield client


def search(client: TestClient, number: int, **more: object) -> Any:
    answer = client.post("/v1/search", json={"vector": VECTORS[number].tolist(), **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_answer_says_that_it_may_miss_some_and_how_many(large: TestClient) -> None:
    found = 0
    for number in range(50):
        body = search(large, number, limit=10)
        assert body["exact"] is False
        assert 0.98 <= body["recall_estimate"] <= 1
        best = np.argsort(-(VECTORS @ VECTORS[number]))[:10]
        found += len({result["id"] for result in body["results"]} & {f"p{one}" for one in best})
    assert found >= 0.95 * 500
    told = re.search(r"^parallax_index_recall_estimate (\S+)$", large.get("/metrics").text, re.MULTILINE)
    assert told is not None
    assert float(told[1]) >= 0.98


def test_few_matches_of_a_filter_are_compared_one_by_one_and_many_by_lists(large: TestClient) -> None:
    few = search(large, 7, filter={"rare": True}, limit=5)
    assert few["exact"] is True
    rare = [number for number in range(COUNT) if number % EVERY == 0]
    best = sorted(rare, key=lambda number: -float(VECTORS[number] @ VECTORS[7]))[:5]
    assert [result["id"] for result in few["results"]] == [f"p{number}" for number in best]
    many = search(large, 7, filter={"number": {"$gte": 100}}, limit=20)
    assert many["exact"] is False
    assert many["recall_estimate"] is None, "it was measured without a filter"
    assert len(many["results"]) == 20
    assert all(result["metadata"]["number"] >= 100 for result in many["results"])


def test_what_is_added_and_deleted_counts_at_once(large: TestClient) -> None:
    add(large, plain("red"), name="red")
    answer = large.get("/v1/search", params={"q": "red", "limit": 1}).json()
    assert (answer["results"][0]["id"], answer["exact"]) == ("red", False)
    assert search(large, 7, limit=1)["results"][0]["id"] == "p7"
    assert large.delete("/v1/images/p7").status_code == 204
    assert search(large, 7, limit=1)["results"][0]["id"] != "p7"
    large.delete("/v1/images/red")
    found = large.get("/v1/search", params={"q": "red", "limit": 3}).json()["results"]
    assert "red" not in [result["id"] for result in found]


def test_deep_pages_follow_each_other(large: TestClient) -> None:
    pages = [search(large, 3, limit=100, offset=offset)["results"] for offset in range(0, 300, 100)]
    ids = [result["id"] for page in pages for result in page]
    assert len(ids) == len(set(ids)) == 300
    scores = [result["score"] for page in pages for result in page]
    assert scores == sorted(scores, reverse=True)
