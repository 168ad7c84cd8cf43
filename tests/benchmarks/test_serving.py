"""The benchmarks of the service measure the service that users have, on collections that it takes for its own."""

from __future__ import annotations

import asyncio
import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from app.settings import SHIPPED_MODEL
from benchmarks import http_search, scaling
from benchmarks.http_search import OURS, THEIRS, ratios, row
from benchmarks.scaling import Collection, cliffs
from benchmarks.serving import clients
from benchmarks.serving.clients import Load, ask
from benchmarks.serving.collection import collection, queries, write_data_folder
from benchmarks.serving.server import parallax
from model import load


def took(clients: int, *, p50: float = 1.0, p99: float = 2.0, per_second: float = 100.0) -> Load:
    return Load(clients=clients, requests=10, per_second=per_second, p50_ms=p50, p95_ms=p50, p99_ms=p99)


def found(vectors: int, *loads: Load) -> Collection:
    return Collection(vectors, None, 1.0, 100.0, 100.0, loads)


@pytest.fixture(scope="module")
def encoder():
    return load(SHIPPED_MODEL, runtime="onnx")


def test_no_query_comes_twice_and_the_same_seed_asks_the_same() -> None:
    asked = list(islice(queries(1), 5000))
    assert len(set(asked)) == 5000
    assert asked == list(islice(queries(1), 5000))
    assert set(asked[:100]) != set(islice(queries(2), 100))


def test_a_collection_is_the_same_again_and_its_vectors_are_sound(encoder) -> None:
    (first,), (again,) = list(collection(encoder, 50)), list(collection(encoder, 50))
    assert np.array_equal(first.vectors, again.vectors)
    assert first.entries == again.entries
    assert np.allclose(np.linalg.norm(first.vectors, axis=1), 1, atol=1e-5)
    assert len({entry.id for entry in first.entries}) == len({entry.sha256 for entry in first.entries}) == 50


def test_the_service_searches_a_collection_that_nobody_uploaded(encoder, tmp_path: Path) -> None:
    write_data_folder(tmp_path / "data", encoder, collection(encoder, 300))
    with parallax(tmp_path / "data", log=tmp_path / "log") as server:
        load = ask(server.port, "parallax", 2, 0.3, seed=0)
        assert load.clients == 2
        assert 0 < load.p50_ms <= load.p95_ms <= load.p99_ms
        assert load.requests > 0
        assert server.resident_mb > 50
        vectors = np.concatenate([batch.vectors for batch in collection(encoder, 300)])
        assert http_search.recalls(encoder, {OURS: server}, vectors) == {OURS: pytest.approx(1, abs=0.01)}
        assert ask(server.port, "clip-retrieval", 1, 0.1, seed=0).requests > 0  # what its client says, we take too


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n", "429"),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{"id":"a"}', "1 results"),
    ],
)
def test_an_answer_that_is_none_is_no_good_time(answer: bytes, fault: str) -> None:
    async def read() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(answer)
        await clients.whole_answer(reader)

    with pytest.raises(RuntimeError, match=fault):
        asyncio.run(read())


def test_what_the_peer_is_sent_is_what_its_route_takes() -> None:
    head, _, body = clients.REQUESTS["clip-retrieval"]("a red apple", 1).partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert json.loads(body)["text"] == "a red apple"
    assert json.loads(body)["num_result_ids"] == 10


def test_a_row_is_the_median_of_the_rounds_and_a_ratio_is_ours_to_theirs() -> None:
    ours = row(OURS, [took(1, p50=value) for value in (3.0, 1.0, 2.0)])
    assert ours.p50_ms == (1.0, 2.0, 3.0)
    assert ours.requests == 30
    theirs = row(THEIRS, [took(1, p50=8.0, per_second=25.0)])
    again = row(OURS, [took(1, p50=0.1)], cached=True)
    assert ratios([ours, theirs, again]) == [{"clients": 1, "p50": 0.25, "throughput": 4.0}]


def test_a_step_out_of_proportion_is_a_cliff() -> None:
    even = [found(1000, took(1), took(4, p99=8)), found(10_000, took(1, p50=10), took(4, p50=10, p99=8))]
    assert list(cliffs(even)) == []
    (steep,) = cliffs([found(1000, took(1)), found(10_000, took(1, p50=40))])
    assert "power 1.60 from 1,000 to 10,000 vectors" in steep
    (lost,) = cliffs([found(1000, took(8), took(16, per_second=50.0))])
    assert "50% of the throughput is left from 8 to 16 clients" in lost
    (late,) = cliffs([found(1000, took(8, p99=2), took(16, p99=9))])
    assert "99th percentile" in late


def test_what_was_found_can_be_drawn(tmp_path: Path) -> None:
    scaling.plot(
        [found(1000, took(1), took(8, per_second=90)), found(10_000, took(1, p50=3), took(8))], tmp_path / "scaling.png"
    )
    rows = [
        row(side, [took(many, p50=many, per_second=side.count("l"))]) for side in (OURS, THEIRS) for many in (1, 32)
    ]
    http_search.plot(rows, tmp_path / "http_search.png")
    assert {path.read_bytes()[1:4] for path in tmp_path.iterdir()} == {b"PNG"}
