"""`python -m benchmarks.http_search`: searches by words over HTTP, beside clip-retrieval's back end.

Both sides hold the same vectors, serve the same model and answer the same queries, each asked once, so that no cache
has the answer; they take turns within one run. clip-retrieval chooses its index itself, with its own command. What it
cannot load, the shipped model, is measured on our side alone. The first run makes the collections, which takes minutes.
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
from benchmarks.serving.clients import Load, ask
from benchmarks.serving.collection import collection, queries, write_data_folder
from benchmarks.serving.server import Server, parallax
from model import load

PACKAGES = ("clip-retrieval", "faiss-cpu", "fastapi", "numpy", "openvino", "torch", "uvicorn")
FOLDER = Path("runs/benchmarks/http_search")
COUNT = 100_000
CLIENTS = (1, 32)
CACHED = 50
"""Queries that are asked again and again, to see what a cache makes of them."""
JUDGED, NEAREST = 100, 10
OURS, THEIRS = "parallax", "clip-retrieval"
MODELS = {"small": "as large as the shipped one's", "vit-b-32": "ViT-B/32's"}


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

    model: str
    side: str
    clients: int
    cached: bool
    requests: int
    p50_ms: tuple[float, float, float]
    p95_ms: tuple[float, float, float]
    p99_ms: tuple[float, float, float]
    per_second: tuple[float, float, float]


def row(model: str, side: str, rounds: Sequence[Load], *, cached: bool = False) -> Row:
    """Rounds of the same load as one."""

    def over(read: Callable[[Load], float]) -> tuple[float, float, float]:
        values = [read(one) for one in rounds]
        return min(values), statistics.median(values), max(values)

    return Row(
        model=model,
        side=side,
        clients=rounds[0].clients,
        cached=cached,
        requests=sum(one.requests for one in rounds),
        p50_ms=over(lambda one: one.p50_ms),
        p95_ms=over(lambda one: one.p95_ms),
        p99_ms=over(lambda one: one.p99_ms),
        per_second=over(lambda one: one.per_second),
    )


def made(folder: Path, model: Path, count: int, *, peer: bool) -> Encoder:
    """The model; its collection, and the peer's index of it, are made unless they are there."""
    encoder = load(model, runtime="onnx")
    stamp = folder / "made-from"
    wanted = f"{encoder.fingerprint} {count}"
    if not stamp.is_file() or stamp.read_text("ascii") != wanted:
        print(f"making {folder}", file=sys.stderr)
        for name in ("data", "peer"):
            shutil.rmtree(folder / name, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        write_data_folder(folder / "data", encoder, collection(encoder, count))
        if peer:
            clip_retrieval.build(folder / "peer", collection(encoder, count))
        stamp.write_text(wanted, "ascii")
    return encoder


def measure(model: str, servers: Mapping[str, Server], sizes: Sizes) -> Iterator[Row]:
    """The sides in turns, round by round; then ours on queries that come again."""
    for server in servers.values():
        server.wait_until_idle()
    for clients in CLIENTS:
        rounds: dict[str, list[Load]] = {side: [] for side in servers}
        for number in range(sizes.rounds):
            sides = list(servers) if number % 2 == 0 else list(reversed(list(servers)))
            for side in sides:
                load = ask(servers[side].port, side, clients, sizes.seconds, seed=1000 * clients + number)
                rounds[side].append(load)
        yield from (row(model, side, loads) for side, loads in rounds.items())
        again = [
            ask(servers[OURS].port, OURS, clients, sizes.seconds, seed=number, distinct=CACHED)
            for number in range(sizes.rounds)
        ]
        yield row(model, OURS, again, cached=True)


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


def facts(model: str, encoder: Encoder, servers: Mapping[str, Server], vectors: Vectors) -> dict[str, object]:
    """What is to be known of the sides besides their speed."""
    return {
        "model": model,
        "recall_at_10": recalls(encoder, servers, vectors),
        "resident_mb": {side: server.resident_mb for side, server in servers.items()},
        "start_seconds": {side: server.start_seconds for side, server in servers.items()},
    }


def beside(name: str, sizes: Sizes) -> Iterator[Row | dict[str, object]]:
    """One of the models that both load."""
    from benchmarks.serving.models import write_models  # brings torch with it

    folder = FOLDER / f"{name}-{sizes.count}"
    write_models(name, folder / "ours", folder / "theirs")
    encoder = made(folder, folder / "ours", sizes.count, peer=True)
    with ExitStack() as stack:
        servers = {
            OURS: stack.enter_context(
                parallax(folder / "data", model=folder / "ours", log=folder / "parallax.log"),
            ),
            THEIRS: stack.enter_context(
                clip_retrieval.serving(folder / "peer", folder / "theirs", log=folder / "clip-retrieval.log")
            ),
        }
        yield from measure(name, servers, sizes)
        parts = sorted((folder / "peer/embeddings/img_emb").glob("*.npy"))
        found = facts(name, encoder, servers, np.concatenate([np.load(part) for part in parts]))
        yield {**found, "index_of_clip_retrieval": clip_retrieval.kind_of_index(folder / "peer")}


def alone(sizes: Sizes) -> Iterator[Row | dict[str, object]]:
    """The shipped model, on our side."""
    folder = FOLDER / f"shipped-{sizes.count}"
    encoder = made(folder, SHIPPED_MODEL, sizes.count, peer=False)
    vectors = np.concatenate([batch.vectors for batch in collection(encoder, sizes.count)])
    with parallax(folder / "data", log=folder / "parallax.log") as server:
        yield from measure("shipped", {OURS: server}, sizes)
        yield facts("shipped", encoder, {OURS: server}, vectors)


def ratios(rows: Sequence[Row]) -> list[dict[str, object]]:
    """Ours to theirs: how long one takes, and how many are answered."""
    found = {(one.model, one.side, one.clients): one for one in rows if not one.cached}
    return [
        {
            "model": model,
            "clients": clients,
            "p50": found[model, OURS, clients].p50_ms[1] / theirs.p50_ms[1],
            "throughput": found[model, OURS, clients].per_second[1] / theirs.per_second[1],
        }
        for (model, side, clients), theirs in found.items()
        if side == THEIRS
    ]


def plot(rows: Sequence[Row], path: Path) -> None:
    """Latency and throughput of every side as bars, from the least to the most of the rounds as whiskers."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    shown = [one for one in rows if not one.cached]
    models = list(dict.fromkeys(one.model for one in shown))
    figure, axes = plt.subplots(2, len(CLIENTS), figsize=(9, 6), layout="constrained", sharey="row")
    for column, clients in enumerate(CLIENTS):
        for side, shift, colour in ((OURS, -0.2, "#2a6f97"), (THEIRS, 0.2, "#c9ada7")):
            bars = [(models.index(one.model), one) for one in shown if (one.side, one.clients) == (side, clients)]
            places = [place + shift for place, _ in bars]
            for line, values in enumerate(([one.p50_ms for _, one in bars], [one.per_second for _, one in bars])):
                middles = [value[1] for value in values]
                spread = [[value[1] - value[0] for value in values], [value[2] - value[1] for value in values]]
                drawn = axes[line][column].bar(places, middles, 0.38, yerr=spread, color=colour, label=side, capsize=3)
                axes[line][column].bar_label(drawn, fmt="%.3g", fontsize=8)
        axes[0][column].set_title(f"{clients} client{'s' if clients > 1 else ''}")
        for line, title in enumerate(("median latency, ms", "answers a second")):
            axes[line][column].set(yscale="log", ylabel=title if column == 0 else "")
            axes[line][column].set_xticks(range(len(models)), models)
    axes[0][0].legend(frameon=False)
    figure.suptitle("Search by words over HTTP")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.http_search", description=__doc__)
    parser.add_argument("--out", type=Path, help="write the results there as JSON, and a plot beside it")
    parser.add_argument("--quick", action="store_true", help="a tenth of the collection, one short round, one model")
    parser.add_argument("--models", nargs="*", choices=MODELS, default=list(MODELS), help="text towers both serve")
    arguments = parser.parse_args()

    sizes = Sizes(COUNT // 10, 1, 1.0) if arguments.quick else Sizes(COUNT, 3, 4.0)
    rows: list[Row] = []
    known: list[dict[str, object]] = []
    runs = [beside(name, sizes) for name in arguments.models[: 1 if arguments.quick else None]]
    for run in [*runs, alone(sizes)]:
        for one in run:
            if isinstance(one, Row):
                rows.append(one)
                what = f"{one.model}, {one.side}, {one.clients} clients{', again' if one.cached else ''}"
                figures = f"p50 {one.p50_ms[1]:8.2f} ms  p95 {one.p95_ms[1]:8.2f}  p99 {one.p99_ms[1]:8.2f}"
                print(f"{what:48} {figures}  {one.per_second[1]:8.1f}/s", flush=True)
            else:
                known.append(one)
                print(one, flush=True)
    compared = ratios(rows)
    for ratio in compared:
        print("ours to theirs:", ratio)
    if arguments.out:
        report: dict[str, object] = {"vectors": sizes.count, "seconds": sizes.seconds, "rounds": sizes.rounds}
        models = {name: f"random weights, a text tower {size}" for name, size in MODELS.items()}
        report |= {"models": models, "ratios": compared, "collections": known}
        write_report(arguments.out, PACKAGES, {**report, "measures": [asdict(one) for one in rows]})
        plot(rows, arguments.out.with_suffix(".png"))
        print(f"written to {arguments.out}", file=sys.stderr)


if __name__ == "__main__":
    main()
