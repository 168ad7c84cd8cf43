"""A large collection is searched by lists: what they find is compared exactly, and is what comparing all finds."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from app.index import exact, recall
from app.index.exact import Index
from app.index.lists import Lists, Stopped, packed, trained, unpacked
from app.index.recall import measured
from app.index.rows import MappedRows, Rows
from app.records.record import Vector, Vectors

DIM = 8
FIRST = 120
"""Vectors that lists are learned from."""
SMALL = 20

NOBODY = np.empty((0, 32), np.float32)
NEVER = threading.Event()


@pytest.fixture(autouse=True, scope="module")
def small_is_large() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "EXACT_UP_TO", SMALL)
        yield


def units(seed: int, count: int, dim: int = DIM) -> Vectors:
    vectors = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def clustered(seed: int, count: int, dim: int) -> Vectors:
    chosen = np.random.default_rng(seed).integers(0, 40, count)
    vectors = units(1, 40, dim)[chosen] + 0.7 * units(seed, count, dim)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def rows_of(vectors: Vectors, folder: Path | None = None) -> Rows:
    count, dim = vectors.shape
    rows = Rows(count, dim) if folder is None else MappedRows.in_folder(folder, count, dim)
    rows.append(np.arange(1, count + 1), vectors)
    return rows


def all_lists(vectors: Vectors) -> Lists:
    """That look everywhere, and compare as many as there can be."""
    lists = trained(vectors, NEVER)
    return replace(lists, probes=lists.count, candidates=4096, recall=1.0, measured_on=len(vectors), probes_at_first=1)


class AgainstBruteForce(RuleBasedStateMachine):
    """Lists over the first vectors, from which some go and behind which others come, and filters over all of them."""

    def __init__(self) -> None:
        super().__init__()
        vectors = units(0, FIRST)
        vectors[7] = vectors[3]  # the same picture twice
        self.index = Index.of(rows_of(vectors), FIRST).with_lists(all_lists(vectors))
        self.contents: dict[int, Vector] = dict(zip(range(1, FIRST + 1), vectors, strict=True))
        self.next_key = FIRST + 1

    @rule(seed=st.integers(0, 50), count=st.integers(1, 30))
    def add(self, seed: int, count: int) -> None:
        vectors = units(seed, count)
        keys = list(range(self.next_key, self.next_key + count))
        self.index = self.index.changed((), keys, vectors)
        self.contents.update(zip(keys, vectors, strict=True))
        self.next_key += count

    @rule(choices=st.lists(st.integers(0, 200), min_size=1, max_size=40))
    def remove(self, choices: list[int]) -> None:
        if here := sorted(self.contents):
            removed = sorted({here[choice % len(here)] for choice in choices})
            self.index = self.index.changed(removed)
            for key in removed:
                del self.contents[key]

    @rule(choice=st.integers(0, 200), seed=st.integers(0, 50))
    def replace_one(self, choice: int, seed: int) -> None:
        if here := sorted(self.contents):
            key = here[choice % len(here)]
            self.index = self.index.changed([key], [key], units(seed, 1))
            self.contents[key] = units(seed, 1)[0]

    @precondition(lambda self: self.index.rows[1] > self.index.lists.covered)
    @rule()
    def take_in(self) -> None:
        lists, (rows, count, _) = self.index.lists, self.index.rows
        assert lists is not None
        self.index = self.index.with_lists(lists.extended(rows.vectors[lists.covered : count], NEVER))

    @rule(seed=st.integers(0, 50), limit=st.integers(1, 40), offset=st.integers(0, 40))
    def search(self, seed: int, limit: int, offset: int) -> None:
        self.check(seed, limit, offset, None)

    @rule(seed=st.integers(0, 50), limit=st.integers(1, 40), parts=st.integers(1, 8), part=st.integers(0, 7))
    def search_among(self, seed: int, limit: int, parts: int, part: int) -> None:
        self.check(seed, limit, 0, [key for key in range(1, self.next_key + 5) if key % parts == part % parts])

    def check(self, seed: int, limit: int, offset: int, keys: list[int] | None) -> None:
        query = units(seed + 1000, 1)[0]
        among = {key: vector for key, vector in self.contents.items() if keys is None or key in keys}
        found = self.index.find(query, limit + offset, None if keys is None else np.array(keys, np.int64))
        assert found.exact == (len(among) <= SMALL)
        right = sorted(((float(vector @ query), -key) for key, vector in among.items()), reverse=True)
        page, expected = found.hits[offset:], right[: limit + offset][offset:]
        assert [score for _, score in page] == pytest.approx([score for score, _ in expected], abs=1e-5)
        assert len(dict(found.hits)) == len(found.hits)
        for key, score in found.hits:
            assert float(among[key] @ query) == pytest.approx(score, abs=1e-5)

    @invariant()
    def counts(self) -> None:
        assert len(self.index) == len(self.contents)


TestAgainstBruteForce = AgainstBruteForce.TestCase
TestAgainstBruteForce.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


def recall_of(index: Index, queries: Vectors, limit: int = 10, keys: np.ndarray | None = None) -> float:
    found = 0
    everything = index.with_lists(None)
    for query in queries:
        answer = index.find(query, limit, keys)
        assert not answer.exact
        found += len({key for key, _ in answer.hits} & {key for key, _ in everything.search(query, limit, keys)})
    return found / limit / len(queries)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Index:
    vectors = clustered(2, 6000, 32)
    index = Index.of(rows_of(vectors, tmp_path_factory.mktemp("rows")), len(vectors))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recall, "_WORTH", 1e9)  # they are learned for a test, not for their speed
        lists = measured(index, trained(vectors, NEVER), NOBODY, 0.95, NEVER)
    assert lists is not None
    return index.with_lists(lists)


def test_the_target_is_met_and_what_is_said_of_it_is_so(large: Index) -> None:
    assert large.lists is not None
    assert large.lists.recall >= 0.95
    queries = clustered(3, 200, 32)
    assert recall_of(large, queries) >= 0.93
    assert abs(recall_of(large, queries) - large.lists.recall) < 0.05
    assert recall_of(large, queries[:50], 100) >= 0.9, "deeper pages too"


@pytest.mark.parametrize("share", [0.8, 0.2, 0.05])
def test_a_filter_finds_as_much(large: Index, share: float) -> None:
    keys = np.flatnonzero(np.random.default_rng(5).random(6000) < share) + 1
    assert recall_of(large, clustered(4, 60, 32), keys=keys) >= 0.92


def test_a_filter_for_what_lies_far_from_the_query_finds_it(large: Index) -> None:
    """Lists near to the query have none of them."""
    query = clustered(6, 1, 32)[0]
    rows, count, _ = large.rows
    far = np.argsort(rows.vectors[:count] @ query)[:500]
    keys = rows.keys[:count][far]
    found, everything = large.find(query, 10, keys), large.with_lists(None).find(query, 10, keys)
    assert not found.exact
    assert len({key for key, _ in found.hits} & {key for key, _ in everything.hits}) >= 6


def test_queries_that_are_asked_count_where_they_lie_elsewhere(large: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """Words lie apart from pictures; that pictures are found with a picture says nothing of them."""
    monkeypatch.setattr(recall, "_WORTH", 1e9)
    assert large.lists is not None
    asked = units(9, 200, 32)
    lists = measured(large, large.lists, asked, 0.95, NEVER)
    assert lists is not None
    assert lists.seconds(lists.probes, lists.candidates) > large.lists.seconds(
        large.lists.probes, large.lists.candidates
    )
    assert recall_of(large.with_lists(lists), units(10, 100, 32)) >= 0.92


def test_what_queries_took_is_not_forgotten_with_the_queries(large: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recall, "_WORTH", 1e9)
    assert large.lists is not None
    for_words = measured(large, large.lists, units(9, 200, 32), 0.95, NEVER)
    assert for_words is not None
    took, later = for_words.seconds(for_words.probes, for_words.candidates), for_words
    for _ in range(2):  # as the collection grows
        again = measured(large, later, np.empty((0, 32), np.float32), 0.95, NEVER)
        assert again is not None
        assert again.seconds(again.probes, again.candidates) >= took
        later = again


def test_what_no_list_covers_yet_is_not_held_against_the_lists(large: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every search compares with all of it."""
    monkeypatch.setattr(recall, "_WORTH", 1e9)
    grown = large.changed((), list(range(6001, 7001)), clustered(11, 1000, 32))
    assert grown.lists is not None
    lists = measured(grown, grown.lists, clustered(12, 100, 32), 0.95, NEVER)
    assert lists is not None
    assert lists.recall >= 0.95
    assert recall_of(grown.with_lists(lists), clustered(13, 100, 32)) >= 0.93


@pytest.mark.parametrize("seed", range(6))
def test_a_few_queries_that_disagree_do_not_end_in_an_exact_search(large: Index, seed: int, monkeypatch) -> None:
    """What was enough for one half of sixteen may be too little for the other; then more is tried, up to everything."""
    monkeypatch.setattr(recall, "_WORTH", 1e9)
    assert large.lists is not None
    lists = measured(large, large.lists, units(100 + seed, 16, 32), 0.98, NEVER)
    assert lists is not None
    assert lists.recall >= 0.98


def test_equal_pictures_come_in_the_order_of_their_age() -> None:
    vectors = np.repeat(units(0, 4), 10, axis=0)
    index = Index.of(rows_of(vectors), 40).with_lists(all_lists(vectors))
    assert [key for key, _ in index.find(vectors[15], 10).hits] == list(range(11, 21))
    pages = [key for offset in range(0, 40, 7) for key, _ in index.find(vectors[15], offset + 7).hits[offset:]]
    assert sorted(pages) == list(range(1, 41))


def test_a_query_that_is_no_direction_finds_nothing() -> None:
    vectors = units(0, FIRST)
    index = Index.of(rows_of(vectors), FIRST).with_lists(all_lists(vectors))
    assert index.search(np.full(DIM, np.nan, np.float32), 3) == []


@pytest.mark.parametrize("dim", [2, 7, 48])
def test_vectors_of_any_size_have_lists_and_these_are_the_same_out_of_a_file(dim: int) -> None:
    vectors = units(1, 400, dim)
    lists = all_lists(vectors)
    again = unpacked(packed(lists), trained_on=400, probes=lists.probes, candidates=lists.candidates)
    np.testing.assert_array_equal(again.list_of, lists.list_of)
    index = Index.of(rows_of(vectors), 400)
    for query in units(2, 5, dim):
        assert index.with_lists(lists).find(query, 5) == index.with_lists(again).find(query, 5)
        assert index.with_lists(lists).search(query, 5) == index.search(query, 5)


def test_what_is_no_lists_is_refused() -> None:
    with pytest.raises(ValueError, match="no lists"):
        unpacked(np.arange(100, dtype=np.uint8), trained_on=1)


def test_lists_that_look_everywhere_are_not_worth_it() -> None:
    vectors = units(1, 3000, 64)
    index = Index.of(rows_of(vectors), len(vectors))
    assert measured(index, trained(vectors, NEVER), NOBODY, 0.999, NEVER) is None


class SetLater(threading.Event):
    """Once somebody has looked so many times."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self._looks = looks

    def is_set(self) -> bool:
        self._looks -= 1
        return self._looks < 0


def test_learning_and_measuring_end_when_the_service_does(large: Index) -> None:
    lists = large.lists
    assert lists is not None
    for looks in (0, 4):
        with pytest.raises(Stopped):
            trained(units(1, 200), SetLater(looks))
    for looks in (0, 1):
        with pytest.raises(Stopped):
            lists.extended(units(1, 100_000, 32), SetLater(looks))
    for looks in (0, 1, 100, 1000):
        with pytest.raises(Stopped):
            measured(large, lists, units(9, 200, 32), 0.95, SetLater(looks))


def test_rows_in_a_file_grow_without_being_moved_and_two_who_go_on_do_not_meet(tmp_path: Path) -> None:
    first = Index(DIM, rows=MappedRows.in_folder(tmp_path, 4, DIM)).changed((), [1, 2, 3, 4], units(1, 4))
    one = first.changed((), [5], units(2, 1))
    other = first.changed((), [6], units(3, 1))
    for index, key, seed in ((one, 5, 2), (other, 6, 3)):
        assert index.search(units(seed, 1)[0], 1)[0][0] == key
        assert len(index) == 5
    assert len(first) == 4
    assert list(tmp_path.iterdir()) == [], "the file has no name, so that it goes with the process"


def test_rows_in_a_file_are_not_moved_into_memory_by_a_writer(tmp_path: Path) -> None:
    index = Index.of(rows_of(units(1, 40), tmp_path), 40)
    after = index.changed(list(range(1, 31)))
    assert after.shares_rows(index)
    assert {key for key, _ in after.search(units(2, 1)[0], 40)} == set(range(31, 41))
