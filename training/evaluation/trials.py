"""Searches as users make them, many of them, of which it is known what is relevant: what relevance is fitted on.

From a pool of captioned pictures, collections of all sizes are drawn, with some, one or none of the pictures that a
query is after. Half of the queries find nothing, since that is what a cutoff is for.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.evaluation.evaluate import query as as_typed
from training.evaluation.pictures import Described, Pictures

SMALLEST = 5
"""Pictures of a collection."""
MATCHLESS = 0.5
"""Share of the queries whose collection has nothing relevant."""
COPIES = 0.3
"""Share of the queries by picture whose collection has the very picture."""
KEYWORD = "keyword"
"""The group and split of queries that are a keyword."""
KEYWORDS = 0.3
"""Share of the queries by words that are a keyword, where the pictures have some; the rest are labels."""
_CONCEPTS = 3
"""That a keyword has at least: with fewer it is another label."""
_BACKGROUND = 1000
"""The most cosines that make a background; the service takes as many."""


class Pool:
    """Encoded pictures of several splits, by what they show."""

    def __init__(self, splits: Mapping[str, Pictures]) -> None:
        self.vectors = np.concatenate([pictures.vectors for pictures in splits.values()])
        self._examples: list[Described] = [example for pictures in splits.values() for example in pictures.examples]
        self._splits = [name for name, pictures in splits.items() for _ in pictures.examples]
        self.by_concept = _rows((example.concept,) for example in self._examples)
        self.by_keyword = {
            keyword: rows
            for keyword, rows in _rows({*example.tags, example.label} - {""} for example in self._examples).items()
            if len({self._examples[row].concept for row in rows}) >= _CONCEPTS
        }

    def words_for(self, concept: str) -> str:
        """As a person types them."""
        example = self._examples[int(self.by_concept[concept][0])]
        return example.captions[0] if example.captions else as_typed(example.label)

    def group_of(self, concept: str) -> str:
        return self._examples[int(self.by_concept[concept][0])].group

    def split_of(self, concept: str) -> str:
        """That of its first picture."""
        return self._splits[int(self.by_concept[concept][0])]


def _rows(names: Iterable[Iterable[str]]) -> dict[str, NDArray[np.int64]]:
    """Of each name, the rows that have it."""
    rows: dict[str, list[int]] = {}
    for row, of_row in enumerate(names):
        for name in sorted(of_row):
            rows.setdefault(name, []).append(row)
    return {name: np.array(found) for name, found in rows.items()}


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for, and what of the pool is relevant to it."""

    vector: NDArray[np.float32]
    relevant: NDArray[np.int64]
    """Rows of the pool, without the query itself."""
    itself: int | None
    """The row of a query by picture."""
    group: str
    """That of its concept, for reports."""
    split: str
    """Where its pictures are from, for reports."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One search in one collection."""

    query: Query
    cosines: NDArray[np.float32]
    """(n,), of the whole collection"""
    relevant: NDArray[np.bool_]
    """(n,)"""
    copies: NDArray[np.bool_]
    """(n,) the query's own picture"""
    background: NDArray[np.float32]
    """A sample of the cosines"""


def second_half(name: str) -> bool:
    """Whether a concept or keyword belongs to the half that a calibration is tested on; by its hash."""
    return bool(hashlib.sha256(name.encode()).digest()[0] & 1)


def queries_by_words(
    pool: Pool, encode: Callable[[Sequence[str]], NDArray[np.float32]], test: bool
) -> tuple[list[Query], list[Query]]:
    """Labels, one query a concept, and keywords that several concepts share, of one half."""
    concepts = [concept for concept in pool.by_concept if second_half(concept) == test]
    keywords = [keyword for keyword in pool.by_keyword if second_half(keyword) == test]
    texts = encode([*(pool.words_for(concept) for concept in concepts), *keywords])
    labels = [
        Query(text, pool.by_concept[concept], None, pool.group_of(concept), pool.split_of(concept))
        for text, concept in zip(texts, concepts, strict=False)
    ]
    of_keywords = zip(texts[len(concepts) :], keywords, strict=True)
    return labels, [Query(text, pool.by_keyword[keyword], None, KEYWORD, KEYWORD) for text, keyword in of_keywords]


def queries_by_picture(pool: Pool, test: bool) -> list[Query]:
    """Every picture of a concept of one half; relevant are the other pictures of its concept."""
    return [
        Query(pool.vectors[row], rows[rows != row], int(row), pool.group_of(concept), pool.split_of(concept))
        for concept, rows in pool.by_concept.items()
        if len(rows) > 1 and second_half(concept) == test
        for row in rows
    ]


def trials(
    pool: Pool, labels: Sequence[Query], keywords: Sequence[Query], count: int, rng: np.random.Generator
) -> Iterator[Trial]:
    """Draw `count` searches; sizes and numbers of relevant pictures are spread evenly in logarithm."""
    every = np.arange(len(pool.vectors))
    for _ in range(count):
        among = keywords if keywords and (not labels or rng.random() < KEYWORDS) else labels
        asked = among[int(rng.integers(len(among)))]
        size = _size(len(every), SMALLEST, rng)
        known = asked.relevant if asked.itself is None else np.append(asked.relevant, asked.itself)
        copied = asked.itself is not None and rng.random() < COPIES
        chosen = asked.relevant
        if len(chosen) and rng.random() >= MATCHLESS:
            chosen = rng.permutation(chosen)[: min(_size(len(chosen), 1, rng), size - copied)]
        else:
            chosen = chosen[:0]
        others = rng.permutation(np.setdiff1d(every, known, assume_unique=True))[: size - len(chosen) - copied]
        rows = np.concatenate([chosen, np.array([asked.itself] if copied else [], np.int64), others])
        cosines = pool.vectors[rows] @ asked.vector
        relevant, copies = np.zeros((2, len(rows)), np.bool_)
        relevant[: len(chosen) + copied] = True
        copies[len(chosen) : len(chosen) + copied] = True
        sample = cosines if len(rows) <= _BACKGROUND else rng.choice(cosines, _BACKGROUND, replace=False)
        yield Trial(asked, cosines, relevant, copies, sample)


def _size(most: int, least: int, rng: np.random.Generator) -> int:
    return int(np.exp(rng.uniform(np.log(least), np.log(most + 1)))) if most > least else most
