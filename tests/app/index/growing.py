"""A store in which a few hundred vectors are a large collection, and what its searches have to find."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from app.gallery.store import Store
from app.index import exact, upkeep
from app.index.lists import Lists
from tests.app.storing import MODEL, add, vector

COUNT = 400
SMALL = 100


@pytest.fixture
def small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists over a few hundred vectors, though comparing with all of them would be as quick."""
    monkeypatch.setattr(exact, "EXACT_UP_TO", SMALL)
    monkeypatch.setattr(upkeep, "_LARGEST_TAIL", 50)
    monkeypatch.setattr("app.index.recall._WORTH", 1e9)
    monkeypatch.setattr("app.index.recall._MORE_TIME", 1.0)  # of so few, no choice takes much more than another


def fill(store: Store, start: int, count: int) -> None:
    """Many records on one file, whose bytes are of no matter here."""
    first = store.catalog.by_id("first") or add(store, 0, "first")
    entries = [replace(first, id=f"s{number}") for number in range(start, start + count)]
    with store.index.change() as change:
        change.insert(entries, np.stack([vector(number) for number in range(start, start + count)]), MODEL)


def lists_of(store: Store) -> Lists | None:
    store.index.wait_for_upkeep()
    with store.index.view() as view:
        return view.index.lists


def assert_right(store: Store) -> None:
    """Most of the nearest are found, each with its cosine, and nothing that is not there."""
    found = right = 0
    with store.index.view() as view:
        everything = view.index.with_lists(None)
        for number in range(1000, 1030):
            query = vector(number)
            hits, best = dict(view.index.search(query, 10)), dict(everything.search(query, 10))
            found, right = found + len(hits.keys() & best.keys()), right + len(best)
            there = view.records.by_keys(list(hits))
            assert there.keys() == hits.keys()
            for key, score in hits.items():
                stored = view.records.vector(key, MODEL)
                assert stored is not None
                assert float(stored @ query) == pytest.approx(score, abs=1e-5)
    assert found >= 0.9 * right
