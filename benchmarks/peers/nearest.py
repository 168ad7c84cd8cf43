"""One side of `benchmarks.index`, in a process of its own: it builds or opens its index, and does as it is told.

Orders come as JSON, a line each, and so do answers. Searches are for one query at a time, as a service gets them.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

NEAREST = 10
GRAPH, WIDTH = (int(argument) for argument in sys.argv[3:5])
"""Neighbours of a node of a graph, and the width of the search that finds them."""

Search = Callable[[Any, int], Any]
"""A query (dim,) and an effort → numbers of the nearest."""


def faiss_hnsw(data: Path, store: Path, _: int) -> Search:
    import faiss

    if not store.exists():
        index = faiss.IndexHNSWFlat(_vectors(data).shape[1], GRAPH, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = WIDTH
        index.add(np.ascontiguousarray(_vectors(data)))
        faiss.write_index(index, str(store))
    else:
        index = faiss.read_index(str(store))
    return lambda query, effort: index.search(query[None], NEAREST, params=faiss.SearchParametersHNSW(efSearch=effort))[
        1
    ][0]


def hnswlib(data: Path, store: Path, size: int) -> Search:
    import hnswlib as peer

    index = peer.Index(space="ip", dim=_vectors(data).shape[1])
    if store.exists():
        index.load_index(str(store), max_elements=size)
    else:
        index.init_index(max_elements=size, ef_construction=WIDTH, M=GRAPH)
        for start in range(0, size, 50_000):
            index.add_items(_vectors(data)[start : start + 50_000])
        index.save_index(str(store))

    def search(query: Any, effort: int) -> Any:
        index.set_ef(effort)
        return index.knn_query(query[None], NEAREST, num_threads=1)[0][0]

    return search


def usearch(data: Path, store: Path, size: int) -> Search:
    from usearch.index import Index

    dim = _vectors(data).shape[1]
    index = Index(ndim=dim, metric="ip", dtype="f32", connectivity=GRAPH, expansion_add=WIDTH)
    if store.exists():
        index.load(str(store))
    else:
        for start in range(0, size, 50_000):
            block = np.ascontiguousarray(_vectors(data)[start : start + 50_000])
            index.add(np.arange(start, start + len(block)), block)
        index.save(str(store))

    def search(query: Any, effort: int) -> Any:
        index.expansion_search = effort
        return index.search(query, NEAREST).keys

    return search


def parallax(data: Path, store: Path, size: int) -> Search:
    from app.index.exact import Index
    from app.index.file import IndexFile, Manifest, Stamp
    from app.index.lists import trained
    from app.index.recall import measured
    from app.index.rows import MappedRows

    dim = _vectors(data).shape[1]
    file, stamp = IndexFile(store), Stamp(model="benchmark", dim=dim, changes=1, token=str(size))
    if (store / "manifest.json").exists():  # an earlier run has added vectors behind those that were saved
        manifest = Manifest.model_validate_json((store / "manifest.json").read_bytes())
        os.truncate(store / "vectors", manifest.bytes)
    loaded = file.load(stamp)
    if loaded is not None:
        index = loaded[1]
    else:
        rows = MappedRows.in_folder(store.parent, size, dim)
        for start in range(0, size, 16_384):
            block = _vectors(data)[start : start + 16_384]
            rows.append(np.arange(start, start + len(block)), block)
        everything = Index.of(rows, size)
        learned = trained(rows.vectors, threading.Event())
        lists = measured(everything, learned, np.empty((0, dim), np.float32), 0.98, threading.Event())
        index = everything.with_lists(lists)
        file.publish(file.write(index, stamp))

    chosen = index.lists.probes if index.lists is not None else 0

    def search(query: Any, effort: int) -> Any:
        """With so many probes, and candidates in proportion; with effort 0 as the index chose."""
        nonlocal index
        probes = effort or chosen
        if index.lists is not None and index.lists.probes != probes:
            index = index.with_lists(replace(index.lists, probes=min(probes, index.lists.count)))
        return [key for key, _ in index.find(query, NEAREST).hits]

    search.index = lambda: index  # type: ignore[attr-defined]
    return search


SIDES = {"parallax": parallax, "faiss_hnsw32": faiss_hnsw, "hnswlib": hnswlib, "usearch": usearch}


def _vectors(data: Path) -> Any:
    return np.load(data / "vectors.npy", mmap_mode="r")


def memory() -> dict[str, int]:
    """Bytes of this process that are its own, and of files that it has mapped, which the system may take back."""
    status = Path("/proc/self/status").read_text()
    return {name: 1024 * int(re.search(rf"Rss{name}:\s+(\d+)", status)[1]) for name in ("Anon", "File")}  # type: ignore[index]


def timed(search: Search, queries: Any, truth: Any, effort: int) -> dict[str, object]:
    seconds, found = [], 0
    for query, right in zip(queries, truth, strict=True):
        began = time.perf_counter()
        numbers = search(query, effort)
        seconds.append(time.perf_counter() - began)
        found += len(np.intersect1d(np.asarray(numbers, np.int64), right))
    return {"seconds": seconds, "recall": found / truth.size}


def live(search: Any, queries: Any) -> dict[str, float]:
    """Additions and deletions a second, each seen by the search after it."""
    index = search.index()
    dim, count = queries.shape[1], len(index)
    began = time.perf_counter()
    for number in range(1000):
        index = index.changed((), [count + number], queries[number % len(queries)].reshape(1, dim))
    adds = 1000 / (time.perf_counter() - began)
    assert index.search(queries[0], 1)[0][0] >= count, "what was added is not found"
    began = time.perf_counter()
    for number in range(500):
        index = index.changed([number])
    return {"adds_per_second": adds, "deletes_per_second": 500 / (time.perf_counter() - began)}


def overhead(search: Any, queries: Any) -> dict[str, object]:
    """Seconds of our call, and of the calls of FAISS that it makes, in turn; with lists, and without them."""
    import faiss

    index = search.index()
    rows, count, _ = index.rows
    result: dict[str, object] = {}
    if index.lists is not None:
        lists = index.lists
        make: Any = faiss.SearchParametersIVF
        parameters = make(nprobe=lists.probes)
        scores = np.empty(lists.candidates, np.float32)

        def bare(query: Any) -> None:
            found = lists.ivf.search(query[None], lists.candidates, params=parameters)[1][0]
            faiss.fvec_inner_products_by_idx(
                *map(faiss.swig_ptr, (scores, query, rows.vectors, found)), index.dim, 1, len(found)
            )

        result["lists"] = _in_turn(lambda query: index.find(query, NEAREST), bare, queries, 5)
    exact = index.with_lists(None) if index.lists is not None else index
    result["exact"] = _in_turn(
        lambda query: exact.find(query, NEAREST),
        lambda query: faiss.knn(query[None], rows.vectors[:count], NEAREST + 1, metric=faiss.METRIC_INNER_PRODUCT),
        queries[:20],
        1,
    )
    return result


def _in_turn(ours: Any, bare: Any, queries: Any, rounds: int) -> dict[str, list[float]]:
    """Each goes through all queries, so that neither finds in the cache what the other has just read."""
    seconds: dict[str, list[float]] = {"ours": [], "bare": []}
    for _ in range(rounds):
        for name, call in (("ours", ours), ("bare", bare)):
            for query in queries:
                began = time.perf_counter()
                call(query)
                seconds[name].append(time.perf_counter() - began)
    return seconds


def main() -> None:
    side, folder = sys.argv[1], Path(sys.argv[2])
    queries, truth = np.load(folder / "queries.npy"), np.load(folder / "truth.npy")
    size = len(_vectors(folder))
    began = time.perf_counter()
    search = SIDES[side](folder, folder / side, size)
    print(json.dumps({"opened_in": time.perf_counter() - began, **memory()}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        answer: object
        if order["do"] == "search":
            answer = timed(search, queries, truth, order["effort"])
        elif order["do"] == "memory":
            answer = memory()
        elif order["do"] == "live":
            answer = live(search, queries)
        else:
            answer = overhead(search, queries)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
