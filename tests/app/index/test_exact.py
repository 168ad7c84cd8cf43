"""The index answers as a comparison with every single vector would, and an index that somebody holds never changes."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from app.index.exact import Index
from app.index.timeline import Timeline
from app.records.record import Vector

DIM = 4
Contents = dict[int, Vector]


def unit(seed: int) -> Vector:
    vector = np.random.default_rng(seed).normal(size=DIM).astype(np.float32)
    return vector / np.linalg.norm(vector)


def index_of(contents: Contents) -> Index:
    return Index(DIM).changed((), list(contents), np.stack(list(contents.values()))) if contents else Index(DIM)


def check(index: Index, contents: Contents, query: Vector, limit: int, keys: list[int] | None = None) -> None:
    """The answer is the brute-force one."""
    among = {key: vector for key, vector in contents.items() if keys is None or key in keys}
    found = index.search(query, limit, None if keys is None else np.array(keys, np.int64))
    best = sorted((float(vector @ query) for vector in among.values()), reverse=True)[:limit]
    assert [score for _, score in found] == pytest.approx(best, abs=1e-5)
    assert len({key for key, _ in found}) == len(found)
    for key, score in found:
        assert float(among[key] @ query) == pytest.approx(score, abs=1e-5)


class AgainstBruteForce(RuleBasedStateMachine):
    """A line of indexes, each made from the one before; all of them are compared, not just the last."""

    def __init__(self) -> None:
        super().__init__()
        self.line: list[tuple[Index, Contents]] = [(Index(DIM), {})]
        self.next_key = 1

    def follow(self, removed: list[int], added: Contents) -> None:
        index, contents = self.line[-1]
        vectors = np.stack(list(added.values())) if added else None
        after = {key: vector for key, vector in contents.items() if key not in removed} | added
        self.line.append((index.changed(removed, list(added), vectors), after))

    @rule(seeds=st.lists(st.integers(0, 50), min_size=1, max_size=5))
    def add(self, seeds: list[int]) -> None:
        self.follow([], {self.next_key + number: unit(seed) for number, seed in enumerate(seeds)})
        self.next_key += len(seeds)

    @rule(choices=st.lists(st.integers(0, 100), min_size=1, max_size=3))
    def remove(self, choices: list[int]) -> None:
        if here := sorted(self.line[-1][1]):
            self.follow([here[choice % len(here)] for choice in choices], {})

    @rule(choice=st.integers(0, 100), seed=st.integers(0, 50))
    def replace(self, choice: int, seed: int) -> None:
        if here := sorted(self.line[-1][1]):
            key = here[choice % len(here)]
            self.follow([key], {key: unit(seed)})

    @rule()
    def take_back(self) -> None:
        """A commit has failed: what was made is dropped, and the line goes on from the one before."""
        if len(self.line) > 1:
            self.line.pop()
            self.line[-1][0].forget_successor()

    @rule(seed=st.integers(0, 50))
    def fork(self, seed: int) -> None:
        """Somebody goes on from the same index twice: neither harms the other."""
        index, contents = self.line[-1]
        others = [index.changed((), [10**6 + n], unit(seed + n)[np.newaxis]) for n in range(2)]
        for number, other in enumerate(others):
            check(other, contents | {10**6 + number: unit(seed + number)}, unit(seed), 20)
        self.line.append((others[1].changed([10**6 + 1]), contents))

    @rule(seed=st.integers(0, 50), limit=st.integers(1, 20), back=st.integers(0, 6))
    def search(self, seed: int, limit: int, back: int) -> None:
        index, contents = self.line[-1 - back % len(self.line)]
        check(index, contents, unit(seed), limit)

    @rule(seed=st.integers(0, 50), limit=st.integers(1, 20), keys=st.lists(st.integers(0, 40)), back=st.integers(0, 6))
    def search_among(self, seed: int, limit: int, keys: list[int], back: int) -> None:
        index, contents = self.line[-1 - back % len(self.line)]
        check(index, contents, unit(seed), limit, keys)

    @invariant()
    def counts(self) -> None:
        for index, contents in self.line[-4:]:
            assert len(index) == len(contents)
            batches = list(index.batches(3))
            assert [key for keys, _ in batches for key in keys] == sorted(contents)
            for keys, vectors in batches:
                np.testing.assert_array_equal(vectors, np.stack([contents[key] for key in keys]))


TestAgainstBruteForce = AgainstBruteForce.TestCase
TestAgainstBruteForce.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)


@given(seed=st.integers(0, 1000))
def test_a_vector_finds_itself_with_a_cosine_of_at_most_one(seed: int) -> None:
    ((key, score),) = index_of({7: unit(seed)}).search(unit(seed), 10)
    assert key == 7
    assert 1 - 1e-6 <= score <= 1


@given(
    seeds=st.lists(st.integers(0, 2), min_size=1, max_size=40),
    limit=st.integers(1, 7),
    removed=st.sets(st.integers(0, 39)),
)
@settings(deadline=None)
def test_pages_of_equal_pictures_neither_overlap_nor_leave_one_out(
    seeds: list[int], limit: int, removed: set[int]
) -> None:
    contents = {key: unit(seed) for key, seed in enumerate(seeds)}
    index = index_of(contents).changed(sorted(removed))
    found: list[int] = []
    for offset in range(0, len(seeds) + limit, limit):
        found += [key for key, _ in index.search(unit(1), offset + limit)[offset:]]
    assert sorted(found) == sorted(contents.keys() - removed)
    scores = [float(contents[key] @ unit(1)) for key in found]
    assert all(one > next_one - 1e-6 for one, next_one in pairwise(scores))
    for seed in set(seeds):
        alike = [key for key in found if seeds[key] == seed]
        assert alike == sorted(alike), "of equal ones the oldest comes first"


def test_a_query_that_is_no_direction_finds_nothing_and_harms_nothing() -> None:
    index = index_of({key: unit(key) for key in range(5)})
    assert index.search(np.full(DIM, np.nan, np.float32), 3) == []
    with pytest.raises(ValueError, match="size 4"):
        index.search(np.zeros(DIM + 1, np.float32), 3)
    assert Index(DIM).search(unit(0), 3) == []
    assert index.search(unit(0), 3, np.array([99])) == []


def test_a_sample_of_cosines_is_of_what_is_there_and_stays_the_same() -> None:
    contents = {key: unit(key) for key in range(100)}
    index = index_of(contents).changed(list(range(10, 20)))
    query = unit(3)
    there = sorted(float(vector @ query) for key, vector in contents.items() if not 10 <= key < 20)
    assert sorted(index.sample_scores(query, 1000).tolist()) == pytest.approx(there, abs=1e-6)
    some = index.sample_scores(query, 30)
    assert len(some) == 30
    assert all(min(abs(one - other) for other in there) < 1e-6 for one in some.tolist())
    np.testing.assert_array_equal(some, index.sample_scores(query, 30))
    assert len(Index(DIM).sample_scores(query, 30)) == 0


def test_searches_go_on_while_the_index_grows_and_shrinks() -> None:
    """Each of them sees an index as it was at one moment, though rows are appended and moved all the time."""
    timeline = Timeline(Index(DIM), 0)
    contents: list[Contents] = [{}]
    stop, checked = threading.Event(), 0

    def search() -> None:
        nonlocal checked
        while not stop.is_set():
            state = len(contents) - 1
            index = timeline.at(state)
            if index is not None:
                check(index, contents[state], unit(checked % 50), 5)
                checked += 1

    with ThreadPoolExecutor(4) as pool:
        searching = [pool.submit(search) for _ in range(4)]
        try:
            state = 0
            while state < 400 or (checked < 100 and not any(one.done() for one in searching)):
                state += 1
                before = contents[-1]
                removed = sorted(before)[: state % 3]
                added = {state: unit(state), state + 10**6: unit(state + 1)}
                timeline.prepare(state, removed, list(added.items()))
                contents.append({key: vector for key, vector in before.items() if key not in removed} | added)
                timeline.settle(state)
        finally:
            stop.set()
        for one in searching:
            one.result()


def test_a_state_that_is_not_committed_is_never_seen() -> None:
    first = Index(DIM, expected=100).changed((), [1], unit(1)[np.newaxis])
    timeline = Timeline(first, 5)
    timeline.prepare(6, [1], [(2, unit(2))])
    timeline.drop(6)
    assert timeline.at(6) is None
    assert timeline.latest.search(unit(1), 5)[0][0] == 1
    timeline.prepare(6, [], [(3, unit(3))])
    timeline.settle(6)
    check(timeline.latest, {1: unit(1), 3: unit(3)}, unit(2), 5)
    assert timeline.latest.shares_rows(first), "a failed commit must not cost a copy of everything"


def test_states_that_are_over_take_no_memory() -> None:
    timeline = Timeline(Index(DIM), 0)
    for state in range(1, 200):
        timeline.prepare(state, [], [(state, unit(state))])
        timeline.settle(state)
    kept = [timeline.at(state) for state in range(200)]
    assert sum(index is not None for index in kept) <= 8
    assert len({id(index._rows) for index in kept if index is not None}) == 1


def test_what_is_kept_for_the_next_search_is_given_back_with_the_next_state() -> None:
    first = Index(DIM, expected=40).changed((), range(20), np.stack([unit(key) for key in range(20)]))
    timeline, keys = Timeline(first, 1), np.arange(10)
    first.find(unit(1), 3, keys)
    first.sample_scores(unit(1), 5)
    timeline.prepare(2, [], [])
    timeline.settle(2)
    assert first._selections, "a change of metadata alone goes on with the same index"
    timeline.prepare(3, [], [(30, unit(30))])
    timeline.settle(3)
    assert (first._selections, first._sample, first._tail) == ([], None, None)
    check(first, {key: unit(key) for key in range(20)}, unit(1), 3, list(range(10)))


def test_states_before_an_improvement_are_over() -> None:
    timeline = Timeline(Index(DIM, expected=40), 0)
    for state in (1, 2):
        timeline.prepare(state, [], [(state, unit(state))])
        timeline.settle(state)
    better = index_of({1: unit(1), 2: unit(2)})
    timeline.improve(better)
    assert [timeline.at(state) for state in range(3)] == [None, None, better]
    timeline.prepare(3, [], [(3, unit(3))])
    timeline.settle(3)
    check(timeline.latest, {1: unit(1), 2: unit(2), 3: unit(3)}, unit(2), 5)
