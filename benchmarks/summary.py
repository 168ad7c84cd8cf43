"""`python -m benchmarks.summary`: what the comparisons found, as one table and one picture of how many times as good.

Every row is a figure out of the result file of one comparison, turned so that more is better: a latency of a third is
"3 ×". A row whose comparison has not been run is named as missing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
NAME = "summary.png"

Report = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison with one peer."""

    measure: str
    peer: str
    target: float
    """Times as good."""
    source: str
    """Name of the comparison, and of its result file."""
    times: Callable[[Report], float | None]
    """Out of its result; None if no peer got there. Raises KeyError or StopIteration if it was not measured."""


@dataclass(frozen=True, slots=True)
class Found:
    """A row with its figure; None if no peer got there."""

    row: Row
    times: float | None


def _http(clients: int, what: str) -> Callable[[Report], float]:
    def times(report: Report) -> float:
        ratio = next(one for one in report["ratios"] if one["clients"] == clients)
        return float(ratio["throughput"] if what == "throughput" else 1 / ratio["p50"])

    return times


def _index(kind: str, what: str) -> Callable[[Report], float | None]:
    def times(report: Report) -> float | None:
        result = report["collections"][kind]
        if result["missing"]:
            raise KeyError(result["missing"][0])
        ratio = result["ratios"][what]
        if ratio is None:
            return None
        return float(ratio if what == "queries_per_second" else 1 / ratio)

    return times


def _start(peer: str, what: str) -> Callable[[Report], float]:
    def read(report: Report, name: str) -> float:
        if name == "rclip":
            return float(report["published"]["rclip"]["seconds"])
        told = report["services"][name]
        return float(told["resident_mb"] if what == "memory" else told["seconds"]["median"])

    return lambda report: read(report, peer) / read(report, "Parallax")


_GRAPHS = "best of FAISS HNSW32, hnswlib, usearch at recall 0.98"
ROWS = (
    Row("encode pictures, ViT-B/32", "open_clip", 3.5, "encode", lambda found: found["image"]["32"]["times open_clip"]),
    Row(
        "encode pictures, ViT-B/32",
        "best of ONNX Runtime int8, OpenVINO bf16, torch bf16",
        1.1,
        "encode",
        lambda found: found["image"]["32"]["times the fastest plain"],
    ),
    Row("encode a query, ViT-B/32", "open_clip", 8, "encode", lambda found: found["text"]["times open_clip"]),
    Row(
        "take in photographs, ViT-B/32",
        "open_clip and Pillow in a loop",
        4,
        "ingest",
        lambda found: found["times as fast as"]["open_clip and Pillow in a loop"],
    ),
    Row(
        "take in photographs, ViT-B/32",
        "infinity",
        2,
        "ingest",
        lambda found: found["times as fast as"]["infinity, POST /embeddings"],
    ),
    Row("search by words, 1 client: latency", "clip-retrieval", 3, "http_search", _http(1, "latency")),
    Row("search by words, 1 client: answers a second", "clip-retrieval", 3, "http_search", _http(1, "throughput")),
    Row("search by words, 32 clients: latency", "clip-retrieval", 3, "http_search", _http(32, "latency")),
    Row("search by words, 32 clients: answers a second", "clip-retrieval", 3, "http_search", _http(32, "throughput")),
    *(
        Row(f"a million vectors, {kind}: {measure}", _GRAPHS, target, "index", _index(kind, what))
        for kind in ("clustered", "uniform")
        for measure, target, what in (
            ("queries a second", 2, "queries_per_second"),
            ("memory of its own, beside mapped files", 4, "memory"),
            ("time to build", 8, "build"),
        )
    ),
    Row("ready to answer", "rclip, as published", 3.7 / 2, "service_start", _start("rclip", "seconds")),
    Row("ready to answer", "clip-retrieval", 1, "service_start", _start("clip-retrieval", "seconds")),
    Row("ready to answer", "infinity", 1, "service_start", _start("infinity", "seconds")),
    Row("memory, idle", "clip-retrieval", 1, "service_start", _start("clip-retrieval", "memory")),
    Row("memory, idle", "infinity", 1, "service_start", _start("infinity", "memory")),
    Row("train: samples a second", "open_clip's trainer", 1.5, "trainer", lambda found: found["ratio"]),
)


def read(folder: Path) -> tuple[list[Found], list[str]]:
    """The rows whose results are there, and the names of the comparisons that are missing."""
    reports: dict[str, Report] = {}
    for source in dict.fromkeys(row.source for row in ROWS):
        path = folder / f"{source}.json"
        if path.is_file():
            reports[source] = json.loads(path.read_bytes())
    found = [Found(row, row.times(reports[row.source])) for row in ROWS if _has(reports, row)]
    return found, [source for source in dict.fromkeys(row.source for row in ROWS) if source not in reports]


def _has(reports: dict[str, Report], row: Row) -> bool:
    try:
        row.times(reports[row.source])
    except (KeyError, StopIteration):  # not run, or a part of it was left out
        return False
    return True


def table(found: Sequence[Found]) -> Iterator[str]:
    """Lines of Markdown."""
    yield "| measure | beside | times as good | target |"
    yield "|---|---|---|---|"
    for one in found:
        figure = "no peer got there" if one.times is None else f"**{one.times:.2g} ×**"
        yield f"| {one.row.measure} | {one.row.peer} | {figure} | {one.row.target:.2g} × |"


def plot(found: Sequence[Found], path: Path) -> None:
    """Bars from 1, on a logarithmic scale, each with a mark at its target."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    shown = [(one.row, one.times) for one in found if one.times is not None][::-1]
    figure, axes = plt.subplots(figsize=(10, 0.36 * len(shown) + 0.8), layout="constrained")
    times = [times for _, times in shown]
    bars = axes.barh(range(len(shown)), [max(value, 1.0) - 1 for value in times], 0.6, left=1, color="#2f6fde")
    axes.bar_label(bars, [f"{value:.2g} ×" for value in times], padding=5, fontsize=9)
    targets = [row.target for row, _ in shown]
    axes.scatter(targets, range(len(shown)), marker="|", s=160, color="#24292f", zorder=3, label="target")
    axes.set_yticks(range(len(shown)), [f"{row.measure}\nbeside {row.peer}" for row, _ in shown], fontsize=7)
    axes.set_xscale("log")
    ticks = (1, 2, 4, 8, 16, 32, 64, 128)
    top = 1.5 * max([*times, *targets])
    axes.set_xticks([tick for tick in ticks if tick <= top], [f"{tick} ×" for tick in ticks if tick <= top])
    axes.xaxis.minorticks_off()
    axes.set_xlim(1, top)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def tell(folder: Path) -> None:
    """Print the table and draw the picture of what is in a folder."""
    found, missing = read(folder)
    print("\n".join(table(found)))
    if missing:
        print(f"not run yet: {', '.join(missing)}", file=sys.stderr)
    if any(one.times is not None for one in found):
        plot(found, folder / NAME)
        print(f"drawn in {folder / NAME}", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.summary", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=RESULTS, help="of the result files")
    tell(parser.parse_args().folder)


if __name__ == "__main__":
    main()
