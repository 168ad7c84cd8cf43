"""`python -m benchmarks.scaling`: what a search by words costs over HTTP as pictures and clients grow in number.

Collections of 10³ to 10⁶ pictures, 1 to 64 clients, the shipped model. Latency, throughput, memory and the time of a
start are drawn on logarithmic scales, on which a cliff is a step: where twice the work costs much more than twice as
much. The first run makes the collections; the largest takes some minutes and 3 GB of the disk.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from math import log
from pathlib import Path

from app.settings import SHIPPED_MODEL
from benchmarks.machine import write_report
from benchmarks.serving.clients import Load, ask, warm_up
from benchmarks.serving.collection import collection, write_data_folder
from benchmarks.serving.server import parallax
from model import load

RESULT = Path(__file__).parent / "results" / "scaling.json"
PACKAGES = ("faiss-cpu", "fastapi", "numpy", "openvino", "uvicorn")
FOLDER = Path("runs/benchmarks/scaling")
SIZES = (1_000, 10_000, 100_000, 1_000_000)
CLIENTS = (1, 2, 4, 8, 16, 32, 64)
STEEP = 1.25
"""From this exponent on, of work to cost, a step counts as a cliff; in proportion is 1."""
LOST = 0.7
"""Of the throughput, when there are more clients: less than this share is a cliff, too."""


@dataclass(frozen=True, slots=True)
class Collection:
    """A service on a collection."""

    vectors: int
    first_start_seconds: float | None
    """When the index was made from the catalog; none if it lay there from a run before."""
    start_seconds: float
    """With the index that the last run left."""
    idle_mb: float
    """Resident, 10⁶ bytes."""
    loaded_mb: float
    """After all the searches."""
    loads: tuple[Load, ...]


def measure(count: int, clients: Sequence[int], seconds: float) -> Collection:
    """One size, from the fewest clients to the most."""
    folder = FOLDER / f"{count}"
    first = _made(folder, count)
    with parallax(folder / "data", log=folder / "parallax.log") as server:
        server.wait_until_idle()
        idle = server.resident_mb
        warm_up(server, "parallax")
        loads = tuple(ask(server.port, "parallax", many, seconds, seed=many) for many in clients)
        return Collection(count, first, server.start_seconds, idle, server.resident_mb, loads)


def _made(folder: Path, count: int) -> float | None:
    """Seconds of the first start, if this is it."""
    encoder = load(SHIPPED_MODEL, runtime="onnx")
    stamp = folder / "made-from"
    if stamp.is_file() and stamp.read_text("ascii") == encoder.fingerprint:
        return None
    print(f"making {folder}", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_data_folder(folder / "data", encoder, collection(encoder, count))
    with parallax(folder / "data", log=folder / "parallax.log") as server:
        first = server.start_seconds
        server.wait_until_idle()  # and leaves for the next start what it has learned
    stamp.write_text(encoder.fingerprint, "ascii")
    return first


def cliffs(found: Sequence[Collection]) -> Iterator[str]:
    """Steps that cost out of proportion, as sentences."""
    for small, large in pairwise(found):
        for before, after in zip(small.loads, large.loads, strict=False):
            exponent = log(after.p50_ms / before.p50_ms) / log(large.vectors / small.vectors)
            if exponent > STEEP:
                step = f"from {small.vectors:,} to {large.vectors:,} vectors"
                yield f"{after.clients} clients: the median latency grows with the power {exponent:.2f} {step}"
    for one in found:
        for few, many in pairwise(one.loads):
            step = f"from {few.clients} to {many.clients} clients"
            if many.per_second < LOST * few.per_second:
                share = many.per_second / few.per_second
                yield f"{one.vectors:,} vectors: {share:.0%} of the throughput is left {step}"
            exponent = log(many.p99_ms / few.p99_ms) / log(many.clients / few.clients)
            if few.clients > 2 and exponent > STEEP:  # one client alone never waits for another
                yield f"{one.vectors:,} vectors: the 99th percentile grows with the power {exponent:.2f} {step}"


def plot(found: Sequence[Collection], path: Path) -> None:
    """Latency and throughput by clients, a line a size; latency and memory by size."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import LogLocator

    figure, ((latency, throughput), (by_size, resources)) = plt.subplots(2, 2, figsize=(10, 7.5), layout="constrained")
    colours = plt.get_cmap("viridis")([number / max(len(found), 1) for number in range(len(found))])
    for one, colour in zip(found, colours, strict=True):
        clients = [took.clients for took in one.loads]
        name = f"{one.vectors:,} vectors"
        latency.plot(clients, [took.p50_ms for took in one.loads], "o-", color=colour, label=name)
        latency.plot(clients, [took.p99_ms for took in one.loads], ":", color=colour)
        throughput.plot(clients, [took.per_second for took in one.loads], "o-", color=colour, label=name)
    sizes = [one.vectors for one in found]
    for number, first in enumerate(found[0].loads):
        if first.clients in {1, 8, 64}:
            line = [one.loads[number].p50_ms for one in found]
            by_size.plot(sizes, line, "o-", label=f"{first.clients} client{'s' if first.clients > 1 else ''}")
    resources.plot(sizes, [one.idle_mb for one in found], "o-", label="resident memory, MB")
    resources.plot(sizes, [one.loaded_mb for one in found], "o:", label="after the searches, MB")
    resources.plot(sizes, [1000 * one.start_seconds for one in found], "s-", label="start, ms")
    latency.set(title="latency (dotted: 99th percentile)", xlabel="clients", ylabel="ms")
    throughput.set(title="throughput", xlabel="clients", ylabel="answers a second")
    by_size.set(title="median latency", xlabel="vectors", ylabel="ms")
    resources.set(title="memory and start", xlabel="vectors")
    for axes in (latency, throughput, by_size, resources):
        axes.set(xscale="log", yscale="log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.yaxis.minorticks_off()
        axes.grid(visible=True, which="major", alpha=0.3)
        axes.legend(frameon=False, fontsize=8)
    for axes in (latency, throughput):
        clients = [took.clients for took in found[0].loads]
        axes.set_xticks(clients, [str(many) for many in clients], minor=False)
        axes.xaxis.minorticks_off()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULT, help="where the result goes, as JSON, and a plot beside it")
    parser.add_argument("--quick", action="store_true", help="up to 10,000 vectors and 8 clients, half a second each")
    parser.add_argument("--sizes", type=int, nargs="*", help="vectors (1000 to 1000000)")
    arguments = parser.parse_args()

    sizes = arguments.sizes or (SIZES[:2] if arguments.quick else SIZES)
    clients, seconds = (CLIENTS[:4], 0.5) if arguments.quick else (CLIENTS, 6.0)
    found: list[Collection] = []
    for count in sizes:
        one = measure(count, clients, seconds)
        found.append(one)
        print(f"{count:,} vectors: ready in {one.start_seconds:.2f} s, {one.idle_mb:.0f} MB", flush=True)
        for took in one.loads:
            figures = f"p50 {took.p50_ms:8.2f} ms  p95 {took.p95_ms:8.2f}  p99 {took.p99_ms:8.2f}"
            print(f"{took.clients:6} clients  {figures}  {took.per_second:8.1f}/s", flush=True)
    steps = list(cliffs(found))
    print("\n".join(steps) or "no cliff")
    report = {"seconds": seconds, "cliffs": steps, "collections": [asdict(one) for one in found]}
    write_report(arguments.out, PACKAGES, report)
    plot(found, arguments.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
