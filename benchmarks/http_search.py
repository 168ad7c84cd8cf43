"""`python -m benchmarks.http_search`: searches by words over HTTP, beside clip-retrieval's back end.

Both sides hold the same vectors, serve the shipped model and answer the same queries, each asked once, so that no cache
has the answer; they take turns within one run. clip-retrieval does not know the form of the model: it is given ours, as
modules of torch. It chooses its index itself, with its own command. The first run makes the collections, which takes a
minute or two.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import numpy as np

from app.inference.lane import Encoder
from app.records.record import Vectors
from app.settings import SHIPPED_MODEL
from benchmarks.machine import write_report
from benchmarks.serving import clip_retrieval
from benchmarks.serving.clients import Load, ask, warm_up
from benchmarks.serving.collection import collection, queries, write_data_folder
from benchmarks.serving.server import Server, parallax
from model import load

RESULT = Path(__file__).parent / "results" / "http_search.json"
PACKAGES = ("clip-retrieval", "faiss-cpu", "fastapi", "numpy", "openvino", "torch", "uvicorn")
FOLDER = Path("runs/benchmarks/http_search")
COUNT = 100_000
CLIENTS = (1, 32)
CACHED = 50
"""Queries that are asked again and again, to see what a cache makes of them."""
JUDGED, NEAREST = 100, 10
OURS, THEIRS = "parallax", "clip-retrieval"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    count: int
    rounds: int
    seconds: float
    """Of each round."""


@dataclass(frozen=True, slots=True)
class Row:
    """One side under one load: the median of the rounds, and the least and the most of them."""

    side: str
    clients: int
    cached: bool
    requests: int
    p50_ms: tuple[float, float, float]
    p95_ms: tuple[float, float, float]
    p99_ms: tuple[float, float, float]
    per_second: tuple[float, float, float]


def row(side: str, rounds: Sequence[Load], *, cached: bool = False) -> Row:
    """Rounds of the same load as one."""

    def over(read: Callable[[Load], float]) -> tuple[float, float, float]:
        values = [read(one) for one in rounds]
        return min(values), statistics.median(values), max(values)

    return Row(
        side=side,
        clients=rounds[0].clients,
        cached=cached,
        requests=sum(one.requests for one in rounds),
        p50_ms=over(lambda one: one.p50_ms),
        p95_ms=over(lambda one: one.p95_ms),
        p99_ms=over(lambda one: one.p99_ms),
        per_second=over(lambda one: one.per_second),
    )


def made(folder: Path, encoder: Encoder, count: int) -> None:
    """Make the collection, and the peer's index of it, unless they are there."""
    stamp = folder / "made-from"
    wanted = f"{encoder.fingerprint} {count}"
    if stamp.is_file() and stamp.read_text("ascii") == wanted:
        return
    print(f"making {folder}", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_data_folder(folder / "data", encoder, collection(encoder, count))
    clip_retrieval.build(folder / "peer", collection(encoder, count))
    stamp.write_text(wanted, "ascii")


def measure(servers: Mapping[str, Server], sizes: Sizes) -> Iterator[Row]:
    """The sides in turns, round by round; then ours on queries that come again."""
    for side, server in servers.items():
        warm_up(server, side)
    for clients in CLIENTS:
        rounds: dict[str, list[Load]] = {side: [] for side in servers}
        for number in range(sizes.rounds):
            sides = list(servers) if number % 2 == 0 else list(reversed(list(servers)))
            for side in sides:
                load = ask(servers[side].port, side, clients, sizes.seconds, seed=1000 * clients + number)
                rounds[side].append(load)
        yield from (row(side, loads) for side, loads in rounds.items())
        again = [
            ask(servers[OURS].port, OURS, clients, sizes.seconds, seed=number, distinct=CACHED)
            for number in range(sizes.rounds)
        ]
        yield row(OURS, again, cached=True)


def recalls(encoder: Encoder, servers: Mapping[str, Server], vectors: Vectors) -> dict[str, float]:
    """Of the ten nearest vectors to each of some queries, the share that each side finds."""
    words = list(islice(queries(7), JUDGED))
    nearest = np.argsort(-(np.concatenate([encoder.encode_texts([text]) for text in words]) @ vectors.T), axis=1)
    found = {OURS: _ours, THEIRS: _theirs}
    return {
        side: statistics.mean(
            len(set(found[side](server.port, text)) & set(true[:NEAREST].tolist())) / NEAREST
            for text, true in zip(words, nearest, strict=True)
        )
        for side, server in servers.items()
    }


def _ours(port: int, text: str) -> list[int]:
    results = _json(f"http://127.0.0.1:{port}/v1/search?q={quote_plus(text)}")["results"]
    return [int(result["id"].partition("-")[2]) for result in results]


def _theirs(port: int, text: str) -> list[int]:
    asked = {"text": text, "modality": "image", "num_images": NEAREST, "num_result_ids": NEAREST}
    body = json.dumps({**asked, "indice_name": clip_retrieval.INDEX, "deduplicate": False}).encode()
    return [result["id"] for result in _json(f"http://127.0.0.1:{port}/knn-service", body)]


def _json(url: str, body: bytes | None = None) -> Any:
    with urllib.request.urlopen(urllib.request.Request(url, body), timeout=60) as answer:
        return json.load(answer)


def compare(sizes: Sizes) -> tuple[list[Row], dict[str, object]]:
    """The rows, and what is to be known of the sides besides their speed."""
    folder = FOLDER / f"{sizes.count}"
    encoder = load(SHIPPED_MODEL, runtime="onnx")
    made(folder, encoder, sizes.count)
    with ExitStack() as stack:
        servers = {
            OURS: stack.enter_context(parallax(folder / "data", log=folder / "parallax.log")),
            THEIRS: stack.enter_context(
                clip_retrieval.serving(folder / "peer", SHIPPED_MODEL, log=folder / "clip-retrieval.log")
            ),
        }
        rows = []
        for one in measure(servers, sizes):
            rows.append(one)
            what = f"{one.side}, {one.clients} client{'s' if one.clients > 1 else ''}{', again' if one.cached else ''}"
            figures = f"p50 {one.p50_ms[1]:8.2f} ms  p95 {one.p95_ms[1]:8.2f}  p99 {one.p99_ms[1]:8.2f}"
            print(f"{what:36} {figures}  {one.per_second[1]:8.1f}/s", flush=True)
        parts = sorted((folder / "peer/embeddings/img_emb").glob("*.npy"))
        vectors = np.concatenate([np.load(part) for part in parts])
        return rows, {
            "recall_at_10": recalls(encoder, servers, vectors),
            "resident_mb": {side: server.resident_mb for side, server in servers.items()},
            "start_seconds": {side: server.start_seconds for side, server in servers.items()},
            "index_of_clip_retrieval": clip_retrieval.kind_of_index(folder / "peer"),
        }


def ratios(rows: Sequence[Row]) -> list[dict[str, object]]:
    """Ours to theirs: how long one takes, and how many are answered."""
    found = {(one.side, one.clients): one for one in rows if not one.cached}
    return [
        {
            "clients": clients,
            "p50": found[OURS, clients].p50_ms[1] / theirs.p50_ms[1],
            "throughput": found[OURS, clients].per_second[1] / theirs.per_second[1],
        }
        for (side, clients), theirs in found.items()
        if side == THEIRS
    ]


def plot(rows: Sequence[Row], path: Path) -> None:
    """Latency and throughput of both sides as bars, from the least to the most of the rounds as whiskers."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    shown = [one for one in rows if not one.cached]
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for axes, what, title in zip(
        panels, ("p50_ms", "per_second"), ("median latency, ms", "answers a second"), strict=True
    ):
        for side, shift, colour in ((OURS, -0.2, "#2f6fde"), (THEIRS, 0.2, "#8b949e")):
            values = [getattr(one, what) for one in shown if one.side == side]
            places = [place + shift for place in range(len(values))]
            middles = [middle for _, middle, _ in values]
            spread = [[middle - least for least, middle, _ in values], [most - middle for _, middle, most in values]]
            drawn = axes.bar(places, middles, 0.38, yerr=spread, color=colour, label=side, capsize=3)
            axes.bar_label(drawn, fmt="%.3g", fontsize=8)
        axes.set(yscale="log", title=title, ylim=(1, 3 * max(most for one in shown for most in getattr(one, what))))
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.set_xticks(range(len(CLIENTS)), [f"{many} client{'s' if many > 1 else ''}" for many in CLIENTS])
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].legend(frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.http_search", description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULT, help="where the result goes, as JSON, and a plot beside it")
    parser.add_argument("--quick", action="store_true", help="a tenth of the collection, one short round")
    arguments = parser.parse_args()

    sizes = Sizes(COUNT // 10, 1, 1.0) if arguments.quick else Sizes(COUNT, 5, 5.0)
    rows, known = compare(sizes)
    compared = ratios(rows)
    for ratio in compared:
        print("ours to theirs:", ratio)
    print(known)
    report: dict[str, object] = {"vectors": sizes.count, "seconds": sizes.seconds, "rounds": sizes.rounds}
    report |= {"ratios": compared, **known, "measures": [asdict(one) for one in rows]}
    write_report(arguments.out, PACKAGES, report)
    plot(rows, arguments.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
