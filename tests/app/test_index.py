"""The index answers as a comparison with every single vector would."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from app.index import Index

DIM = 4


def unit(seed: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    vector = np.random.default_rng(seed).normal(size=DIM).astype(np.float32)
    return vector / np.linalg.norm(vector)


class AgainstBruteForce(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.index = Index(DIM)
        self.vectors: dict[int, np.ndarray[tuple[int], np.dtype[np.float32]]] = {}

    @rule(seeds=st.lists(st.integers(0, 50), min_size=1, max_size=5))
    def add(self, seeds: list[int]) -> None:
        keys = [len(self.vectors) * 100 + n + 1 for n in range(len(seeds))]
        keys = [key for key in keys if key not in self.vectors]
        if keys:
            rows = np.stack([unit(seed) for seed in seeds[: len(keys)]])
            self.index.add(keys, rows)
            self.vectors |= dict(zip(keys, rows, strict=True))

    @rule(choice=st.integers(0, 100))
    def remove(self, choice: int) -> None:
        if self.vectors:
            key = sorted(self.vectors)[choice % len(self.vectors)]
            self.index.remove([key])
            del self.vectors[key]

    @rule(seed=st.integers(0, 50), limit=st.integers(1, 20))
    def search(self, seed: int, limit: int) -> None:
        query = unit(seed)
        found = self.index.search(query, limit)
        expected = sorted((float(vector @ query) for vector in self.vectors.values()), reverse=True)[:limit]
        assert [score for _, score in found] == pytest.approx(expected, abs=1e-5)
        assert len({key for key, _ in found}) == len(found)
        for key, score in found:
            assert float(self.vectors[key] @ query) == pytest.approx(score, abs=1e-5)

    @invariant()
    def counts(self) -> None:
        assert len(self.index) == len(self.vectors)


TestAgainstBruteForce = AgainstBruteForce.TestCase
TestAgainstBruteForce.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)


@given(seed=st.integers(0, 1000))
def test_a_vector_finds_itself_with_a_cosine_of_at_most_one(seed: int) -> None:
    index = Index(DIM)
    index.add([7], unit(seed)[np.newaxis])
    ((key, score),) = index.search(unit(seed), 10)
    assert key == 7
    assert 1 - 1e-6 <= score <= 1
