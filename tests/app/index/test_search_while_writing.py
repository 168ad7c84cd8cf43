"""Eight read, two write: every answer is that of brute force on some committed state, and nobody waits for a writer."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from app.gallery.store import Store
from app.index.view import Hit
from app.records.record import Condition, Vector
from tests.app.storing import MODEL, Gallery, Write, add, assert_sound, opened_store, vector

READERS, WRITERS, LIMIT = 8, 2, 10
STAYING = 3_000
"""Pictures that nobody touches, so many that a search is a real one."""
ODD = Condition("metadata ->> 'number' % 2 = 1")


@dataclass
class Writer:
    """Writes to pictures of its own."""

    number: int
    states: list[Gallery] = field(default_factory=lambda: [{}])
    """After each of the writes that were begun."""
    finished: int = 0

    def work(self, store: Store, go_on: Callable[[], bool]) -> None:
        chance = random.Random(self.number)
        while go_on():
            gallery = self.states[-1]
            name = f"w{self.number}-{chance.randrange(30)}"
            kind = chance.choice(["put", "patch", "delete"]) if name in gallery else "add"
            write = Write(kind, name, 10_000 + chance.randrange(1_000) * WRITERS + self.number)  # type: ignore[arg-type]
            self.states.append(write.on(gallery))
            write.to(store)
            self.finished += 1


@dataclass
class Reader:
    """Asks one question over and over, now of all pictures, now of some, and compares."""

    query: Vector
    staying: list[tuple[float, int]]
    """Cosine and number of those that stay and come close, best first."""
    seconds: list[float] = field(default_factory=list)

    def work(self, store: Store, writers: list[Writer], go_on: Callable[[], bool]) -> None:
        turn = 0
        while go_on():
            turn += 1
            finished = [writer.finished for writer in writers]
            began = time.perf_counter()
            with store.index.view() as view:
                hits = view.find(self.query, LIMIT, keys=view.records.keys(ODD) if turn % 2 else None).hits
            self.seconds.append(time.perf_counter() - began)
            first, second = (
                writer.states[since : len(writer.states)] for writer, since in zip(writers, finished, strict=True)
            )
            assert any(self.is_right(hits, one | other, odd=bool(turn % 2)) for one in first for other in second)

    def is_right(self, hits: list[Hit], changing: Gallery, *, odd: bool) -> bool:
        all_of_them = [(score, f"s{number}", {"number": number}) for score, number in self.staying]
        for name, (number, metadata) in changing.items():
            all_of_them.append((float(vector(number) @ self.query), name, metadata))
        meant = [one for one in all_of_them if not odd or one[2]["number"] % 2 == 1]
        best = sorted(meant, key=lambda one: -one[0])[:LIMIT]
        expected = [(name, metadata) for _, name, metadata in best]
        return (
            len(hits) == LIMIT
            and all((hit.record.id, hit.record.metadata) in expected for hit in hits)
            and bool(np.allclose([hit.score for hit in hits], [score for score, _, _ in best], atol=1e-5))
        )


@contextmanager
def scene(path: Path) -> Iterator[tuple[Store, list[Reader], list[Writer]]]:
    vectors = np.stack([vector(number) for number in range(STAYING)])
    with opened_store(path) as store:
        first = add(store, 0, "s0", {"number": 0})
        others = [replace(first, id=f"s{number}", metadata={"number": number}) for number in range(1, STAYING)]
        with store.index.change() as change:  # many records on one file, whose bytes are of no matter here
            change.insert(others, vectors[1:], MODEL)
        readers = []
        for number in range(READERS):
            query = vector(number, "a query")
            scores = vectors @ query
            readers.append(Reader(query, [(float(scores[one]), int(one)) for one in np.argsort(-scores)[: LIMIT * 10]]))
        yield store, readers, [Writer(number) for number in range(WRITERS)]
    assert_sound(path)


def run(store: Store, readers: list[Reader], writers: list[Writer], go_on: Callable[[Writer], bool]) -> None:
    """Let them work; readers go on until all writers are done. What goes wrong in one of them is raised."""
    done = threading.Event()
    with ThreadPoolExecutor(READERS + WRITERS) as pool:
        reading = [pool.submit(one.work, store, writers, lambda: not done.is_set()) for one in readers]
        writing = [pool.submit(one.work, store, partial(go_on, one)) for one in writers]
        try:
            for future in writing:
                future.result()
        finally:
            done.set()
        for future in reading:
            future.result()


def test_every_search_beside_writers_is_right_for_some_committed_state(tmp_path: Path) -> None:
    with scene(tmp_path) as (store, readers, writers):
        run(store, readers, writers, lambda writer: writer.finished < 50)
        assert sum(len(reader.seconds) for reader in readers) > 50


@pytest.mark.slow
def test_eight_readers_and_two_writers_for_a_minute(tmp_path: Path) -> None:
    def p99() -> float:
        seconds = [one for reader in readers for one in reader.seconds]
        for reader in readers:
            reader.seconds.clear()
        return float(np.quantile(seconds, 0.99))

    def until(moment: float) -> Callable[[Writer], bool]:
        return lambda _: time.monotonic() < moment

    with scene(tmp_path) as (store, readers, writers):
        with ThreadPoolExecutor(READERS) as pool:
            alone = time.monotonic() + 10
            for done in [pool.submit(one.work, store, writers, lambda: time.monotonic() < alone) for one in readers]:
                done.result()
        alone_p99 = p99()
        run(store, readers, writers, until(time.monotonic() + 60))
        searches, writes = sum(len(one.seconds) for one in readers), sum(one.finished for one in writers)
        beside_p99 = p99()
    print(
        f"{searches:,} searches beside {writes:,} writes; p99 {beside_p99 * 1e3:.1f} ms, alone {alone_p99 * 1e3:.1f} ms"
    )
    assert beside_p99 <= 5 * alone_p99
