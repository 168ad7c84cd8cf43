"""`python -m benchmarks.index`: nearest vectors among a million, beside FAISS HNSW32, hnswlib and usearch.

Two collections of unit vectors: clustered (1,000 centres, and as much noise), and uniform, which nobody's neighbours
structure. Each index lives in a process of its own, where it searches for one query at a time; the indexes take turns.
For each the effort is found that reaches a recall@10 of 0.98 on queries that it has never seen.

Graphs of a million take long to build: on two cores three to ten minutes each, and two or three times as long where the
vectors are uniform. They are kept below `runs/bench/index`, as the data are, and a run goes on where the last one
stopped. No build is begun after `--minutes`; what is missing then is named. `--quick` is 20,000 vectors.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import faiss
import numpy as np

from benchmarks.machine import write_report
from benchmarks.peer import interpreter

RESULT = Path(__file__).parent / "results" / "index.json"
FOLDER = Path("runs/bench/index")
CHILD = Path(__file__).parent / "peers" / "nearest.py"
PEERS = ("faiss_hnsw32", "hnswlib", "usearch")
OURS = "parallax"
GRAPH = 32
"""Neighbours of a node, in the terms of FAISS and of hnswlib, whose M it is; usearch calls it connectivity."""
WIDTH = 100
"""Of the search that finds a new node's neighbours: efConstruction, ef_construction, expansion_add."""
DIM = 512
QUERIES = 200
NEAREST = 10
TARGET = 0.98
CLUSTERS = 1000
EFFORTS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
PROBES = (1, 2, 4, 8, 16, 32, 128, 512, 1024)
TOO_SLOW = 0.5
"""Seconds a query: beyond a comparison with every vector nobody goes."""


class Side:
    """One index in its process. Context manager."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        python = sys.executable if name == OURS else interpreter("index")
        environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
        command = [str(python), str(CHILD), name, str(folder), str(GRAPH), str(WIDTH)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.opened = self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} has ended: see above")
        return json.loads(line)

    def ask(self, **order: object) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def make_data(kind: str, size: int, folder: Path) -> None:
    """Vectors, queries and the true nearest, unless they are there."""
    if (folder / "truth.npy").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)

    def unit(vectors: Any) -> Any:
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors

    def noise(count: int) -> Any:
        return unit(random.standard_normal((count, DIM), dtype=np.float32))

    centres = noise(CLUSTERS)

    def draw(count: int) -> Any:
        if kind == "uniform":
            return noise(count)
        return unit(centres[random.integers(0, CLUSTERS, count)] + noise(count))

    queries = draw(QUERIES)
    vectors = np.lib.format.open_memmap(folder / "vectors.npy", "w+", np.float32, (size, DIM))
    for start in range(0, size, 50_000):
        vectors[start : start + 50_000] = draw(min(50_000, size - start))
    np.save(folder / "queries.npy", queries)
    truth = faiss.knn(queries, np.asarray(vectors), NEAREST, metric=faiss.METRIC_INNER_PRODUCT)[1]
    np.save(folder / "truth.npy", truth)


def built(name: str, folder: Path, deadline: float) -> float | None:
    """Seconds that building and saving took, now or in an earlier run; None if there is no time for it."""
    note = folder / f"{name}.{'' if name == OURS else f'{GRAPH}-{WIDTH}.'}built.json"  # another graph is another build
    if not note.exists():
        if time.monotonic() > deadline:
            return None
        print(f"building {name} in {folder}", file=sys.stderr, flush=True)
        shutil.rmtree(folder / name, ignore_errors=True)  # of other parameters, or half of one
        (folder / name).unlink(missing_ok=True)
        began = time.monotonic()
        with Side(name, folder):
            pass
        note.write_text(json.dumps(time.monotonic() - began))
    return float(json.loads(note.read_text()))


def spread(seconds: Sequence[float]) -> dict[str, float]:
    lower, median, upper = statistics.quantiles(seconds, n=4)
    return {"median_s": median, "lower_s": lower, "upper_s": upper}


def tried(side: Side, effort: int) -> dict[str, Any]:
    answer = side.ask(do="search", effort=effort)
    return {"effort": effort, "recall": answer["recall"], **spread(answer["seconds"])}


def curves(sides: Sequence[Side]) -> dict[str, list[dict[str, Any]]]:
    """Of each side: recall and time by effort, as far as it takes to reach the target."""
    found: dict[str, list[dict[str, Any]]] = {side.name: [] for side in sides}
    for side in sides:
        tried(side, 0 if side.name == OURS else EFFORTS[0])  # reads what is still on the disk
    for number in range(len(EFFORTS)):
        for side in sides:
            efforts = PROBES if side.name == OURS else EFFORTS
            points = found[side.name]
            reached = points and (points[-1]["recall"] >= TARGET or points[-1]["median_s"] > TOO_SLOW)
            if number >= len(efforts) or reached:
                continue
            points.append(tried(side, efforts[number]))
    for side in sides:
        if side.name != OURS:
            refine(side, found[side.name])
    return found


def refine(side: Side, points: list[dict[str, Any]]) -> None:
    """Look for the least effort that reaches the target, to an eighth of it: the steps so far are powers of two."""
    if len(points) < 2 or points[-1]["recall"] < TARGET:
        return
    short, enough = points[-2]["effort"], points[-1]["effort"]
    while 8 * (enough - short) > enough:
        point = tried(side, (short + enough) // 2)
        points.append(point)
        short, enough = (short, point["effort"]) if point["recall"] >= TARGET else (point["effort"], enough)
    points.sort(key=lambda one: int(one["effort"]))


def at_target(sides: Sequence[Side], points: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, Any] | None]:
    """The least effort of each side with that recall, timed again, in turn; ours is what the index chose by itself."""
    efforts: dict[str, int | None] = {
        name: 0 if name == OURS else next((one["effort"] for one in some if one["recall"] >= TARGET), None)
        for name, some in points.items()
    }
    seconds: dict[str, list[float]] = {side.name: [] for side in sides}
    recalls: dict[str, float] = {}
    for turn in range(4):
        for side in sides:
            if (effort := efforts[side.name]) is not None:
                answer = side.ask(do="search", effort=effort)
                seconds[side.name] += answer["seconds"] if turn else []  # the first one warms up
                recalls[side.name] = answer["recall"]
    return {
        name: {"effort": efforts[name], "recall": recalls[name], "queries_per_second": 1 / statistics.median(some)}
        | spread(some)
        if some
        else None
        for name, some in seconds.items()
    }


def compare(kind: str, size: int, deadline: float) -> dict[str, Any]:
    folder = FOLDER / f"{kind}-{size}"
    make_data(kind, size, folder)
    seconds = {name: built(name, folder, deadline) for name in (OURS, *PEERS)}
    missing = [name for name, took in seconds.items() if took is None]
    with ExitStack() as stack:
        sides = [stack.enter_context(Side(name, folder)) for name in seconds if name not in missing]
        points = curves(sides)
        reached = at_target(sides, points)
        memory = {side.name: side.ask(do="memory") for side in sides}
        result: dict[str, Any] = {
            "size": size,
            "missing": missing,
            "built_in_s": seconds,
            "opened_in_s": {side.name: side.opened["opened_in"] for side in sides},
            "memory_bytes": memory,
            "at_target": reached,
            "curves": points,
        }
        ours = sides[0]
        result["live"] = ours.ask(do="live")
        result["overhead"] = {
            name: {side: spread(some) for side, some in both.items()}
            | {"ratio": statistics.median(both["ours"]) / statistics.median(both["bare"])}
            for name, both in ours.ask(do="overhead").items()
        }
    result["ratios"] = ratios(result)
    return result


def ratios(result: dict[str, Any]) -> dict[str, Any]:
    """Ours to the best of the peers that reach the target, measure by measure; None where no peer gets there."""
    reached = [name for name in PEERS if result["at_target"].get(name)]
    if not reached or not result["at_target"][OURS]:
        return {"peers": reached, "queries_per_second": None, "memory": None, "build": None}
    speed, memory, build = (
        {name: result["at_target"][name]["queries_per_second"] for name in (OURS, *reached)},
        {name: result["memory_bytes"][name]["Anon"] for name in (OURS, *reached)},
        result["built_in_s"],
    )
    return {
        "peers": reached,
        "queries_per_second": speed[OURS] / max(speed[name] for name in reached),
        "memory": memory[OURS] / min(memory[name] for name in reached),
        "build": build[OURS] / min(build[name] for name in reached),
    }


def plot(report: dict[str, Any], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(report), figsize=(5 * len(report), 4), squeeze=False)
    for axis, (kind, result) in zip(axes[0], report.items(), strict=True):
        for name, points in result["curves"].items():
            axis.plot([p["recall"] for p in points], [1 / p["median_s"] for p in points], "o-", label=name)
        chosen = result["at_target"][OURS]
        if chosen:
            axis.plot(chosen["recall"], chosen["queries_per_second"], "k*", markersize=12, label="what it chose")
        axis.axvline(TARGET, color="grey", linewidth=0.8)
        axis.set(title=f"{kind}, {result['size']:,} × {DIM}", xlabel="recall@10", ylabel="queries/s", yscale="log")
        axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.index", description=__doc__)
    parser.add_argument("--size", type=int, default=1_000_000, help="vectors")
    parser.add_argument("--kinds", nargs="+", default=["clustered", "uniform"], choices=["clustered", "uniform"])
    parser.add_argument("--minutes", type=float, default=150, help="begin no build after so many (150)")
    parser.add_argument("--quick", action="store_true", help="20,000 vectors, to see that it works")
    parser.add_argument(
        "--out", type=Path, default=RESULT, help="write the result there, as JSON, and a plot beside it"
    )
    arguments = parser.parse_args()
    size = 20_500 if arguments.quick else arguments.size
    deadline = time.monotonic() + 60 * arguments.minutes
    report = {kind: compare(kind, size, deadline) for kind in arguments.kinds}
    for kind, result in report.items():
        for name, point in result["at_target"].items():
            told = f"{point['median_s'] * 1e3:.2f} ms, recall {point['recall']:.3f}" if point else "not reached"
            print(f"{kind:10} {name:14} {told}, built in {result['built_in_s'][name]:.0f} s")
        print(f"{kind:10} {json.dumps(result['ratios'])} {json.dumps(result['live'])}")
        for name in result["missing"]:
            print(f"{kind:10} {name} is not built yet; run this again", file=sys.stderr)
    write_report(arguments.out, ("numpy", "faiss-cpu"), {"dim": DIM, "target": TARGET, "collections": report})
    plot(report, arguments.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
