from __future__ import annotations

import time

import pytest

from app.records.identifier import is_valid, new_id


def test_made_ids_sort_by_time_and_may_be_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = []
    for milliseconds in (0, 1, 1_700_000_000_000, 2**48 - 1):
        monkeypatch.setattr(time, "time_ns", lambda now=milliseconds: now * 1_000_000)
        ids.append(new_id())
    assert ids == sorted(ids)
    assert all(len(one) == 26 and one == one.lower() and is_valid(one) for one in ids)


def test_ids_made_in_the_same_moment_differ() -> None:
    assert len({new_id() for _ in range(10_000)}) == 10_000
