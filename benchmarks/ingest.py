"""`python -m benchmarks.ingest`: photographs of 12 megapixels on their way in, by ours and by what people have.

Ours takes them over HTTP, and answers when picture and vector are safe on disk and the thumbnail is made. open_clip
reads the same files in a plain loop and keeps nothing; infinity is asked for their vectors over HTTP, and keeps nothing
either. All hold the same random weights of a ViT-B/32, and take turns, round by round. What a client has to encode is
encoded before the time is taken.

Beside the speed stands what decoding to fewer pixels costs: the cosine of the vectors to those of the whole picture.
"""

from __future__ import annotations

import argparse
import base64
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks.encode import random_model
from benchmarks.machine import write_report
from benchmarks.peer import interpreter
from benchmarks.photographs import photographs
from benchmarks.serving.server import Server, free_port, parallax, running
from model import load
from model.exporting.huggingface import export_huggingface
from model.folder import ModelFolder, read_folder
from model.picture import decode

RESULT = Path(__file__).parent / "results" / "ingest.json"
FOLDER = Path("runs/ingest")
PHOTOGRAPHS = Path("runs/photographs")
PEERS = Path(__file__).parent / "peers"
CLIENTS, TOGETHER = 4, 4
"""Connections to a service at a time, and pictures in a request."""
BATCHES = (4, 8, 16)
"""Of open_clip's loop; the fastest counts."""
MODEL = "ViT-B-32"
OURS, LOOP, INFINITY = "Parallax, POST /v1/images", "open_clip and Pillow in a loop", "infinity, POST /embeddings"
PACKAGES = ("numpy", "open-clip-torch", "openvino", "pillow", "torch")

Side = Callable[[Sequence[bytes]], float]
"""Seconds that it took to take in these files."""


def distinct(photograph: bytes, number: int) -> bytes:
    """The same picture in another file: with a comment (ISO/IEC 10918-1, B.2.4.5)."""
    return photograph[:2] + b"\xff\xfe\x00\x0a" + number.to_bytes(8) + photograph[2:]


def _parts(files: Sequence[bytes]) -> list[Sequence[bytes]]:
    return [files[start : start + TOGETHER] for start in range(0, len(files), TOGETHER)]


def _posted(client: httpx.Client, url: str, bodies: Sequence[bytes], kind: str) -> float:
    def post(body: bytes) -> None:
        client.post(url, content=body, headers={"Content-Type": kind}).raise_for_status()

    with ThreadPoolExecutor(CLIENTS) as pool:
        began = time.perf_counter()
        list(pool.map(post, bodies))
        return time.perf_counter() - began


@contextmanager
def ours(model: Path) -> Iterator[Side]:
    """Our service, on an empty data folder."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=FOLDER)))
        server = stack.enter_context(parallax(folder / "data", log=FOLDER / "parallax.log", model=model))
        client = stack.enter_context(httpx.Client(timeout=300))
        head = b'--frame\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'

        def take(files: Sequence[bytes]) -> float:
            bodies = [b"".join(head + file + b"\r\n" for file in some) + b"--frame--\r\n" for some in _parts(files)]
            url = f"http://127.0.0.1:{server.port}/v1/images"
            return _posted(client, url, bodies, "multipart/form-data; boundary=frame")

        yield take


@contextmanager
def infinity_service(model: Path, log: Path, batch: int = 8) -> Iterator[Server]:
    """infinity with a folder of Hugging Face's."""
    port = free_port()
    command: list[str | Path] = [
        interpreter("infinity"),
        PEERS / "infinity_service.py",
        *("v2", "--model-id", model, "--served-model-name", MODEL, "--engine", "torch", "--device", "cpu"),
        *("--batch-size", str(batch), "--no-bettertransformer", "--no-compile", "--no-model-warmup"),
        *("--host", "127.0.0.1", "--port", str(port)),
    ]
    environment = {
        "HF_HUB_OFFLINE": "1",
        "DO_NOT_TRACK": "1",
        "PYTHONPATH": str(PEERS),
        "INFINITY_HOME": str(log.parent),
    }
    with running(command, port=port, ready="/health", log=log, environment=environment) as server:
        yield server


@contextmanager
def infinity(model: Path) -> Iterator[Side]:
    """infinity's service."""
    with infinity_service(model, FOLDER / "infinity.log") as server, httpx.Client(timeout=300) as client:

        def take(files: Sequence[bytes]) -> float:
            inputs = [
                [f"data:image/jpeg;base64,{base64.b64encode(one).decode()}" for one in some] for some in _parts(files)
            ]
            bodies = [
                json.dumps({"model": MODEL, "input": some, "modality": "image"}).encode("ascii") for some in inputs
            ]
            return _posted(client, f"http://127.0.0.1:{server.port}/embeddings", bodies, "application/json")

        yield take


@contextmanager
def loop(model: Path, batch: int) -> Iterator[Side]:
    """open_clip in a process of its own, which reads the files."""
    command = [interpreter("open_clip"), PEERS / "open_clip_ingest.py", model]
    with (
        tempfile.TemporaryDirectory(dir=FOLDER) as folder,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()

        def take(files: Sequence[bytes]) -> float:
            assert process.stdin is not None
            assert process.stdout is not None
            paths = [Path(folder).resolve() / f"{number}.jpg" for number in range(len(files))]
            for path, file in zip(paths, files, strict=True):
                path.write_bytes(file)
            process.stdin.write(json.dumps({"pictures": [str(path) for path in paths], "batch": batch}) + "\n")
            process.stdin.flush()
            return float(process.stdout.readline())

        yield take
        process.stdin.close()


def in_turns(sides: Mapping[str, Side], photos: Sequence[bytes], rounds: int) -> dict[str, list[float]]:
    """Pictures a second of each side, round by round, after one that warms up. No file comes twice."""
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, take in sides.items():
            seconds = take([distinct(photo, number) for photo in photos])
            if number:
                rates[name].append(len(photos) / seconds)
    return rates


def summary(rates: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Medians and quartiles by side, and how many times as fast we are as each of the others."""
    sides = {}
    for name, taken in rates.items():
        lower, median, upper = statistics.quantiles(taken, n=4)
        sides[name] = {"per_second": median, "lower": lower, "upper": upper, "rounds": len(taken)}
    mine = sides[OURS]["per_second"]
    others = {name: side["per_second"] for name, side in sides.items() if name != OURS}
    return {"sides": sides, "times as fast as": {name: mine / rate for name, rate in others.items()}}


def agreement(folder: ModelFolder, photos: Sequence[bytes]) -> dict[str, float]:
    """Cosines between the vectors of pictures decoded as far as the model needs it and of whole ones, both in float32.

    Those of random weights lie near each other whatever they show; so they are compared less their mean, too.
    """
    encoder = load(folder.path, "torch")
    reduced = [encoder.preprocess(decode(photo, at_least=encoder.side_needed)) for photo in photos]
    whole = [encoder.preprocess(decode(photo)) for photo in photos]
    found, right = encoder.encode_pixels(reduced), encoder.encode_pixels(whole)
    centre = right.mean(axis=0)
    return {"cosine": float((found * right).sum(axis=1).min()), "less the mean": _least(found - centre, right - centre)}


def _least(found: np.ndarray, right: np.ndarray) -> float:
    """The smallest cosine between rows."""
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(right, axis=1)
    return float(((found * right).sum(axis=1) / lengths).min())


def plot(report: Mapping[str, Any], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 2.2), layout="constrained")
    sides = report["sides"]
    names = sorted(sides, key=lambda name: sides[name]["per_second"])
    rates = [sides[name]["per_second"] for name in names]
    spread = [
        [sides[name]["per_second"] - sides[name]["lower"] for name in names],
        [sides[name]["upper"] - sides[name]["per_second"] for name in names],
    ]
    colours = ["#2f6fde" if name == OURS else "#8b949e" for name in names]
    bars = axes.barh(names, rates, 0.6, xerr=spread, color=colours, error_kw={"ecolor": "#57606a", "capsize": 3})
    axes.bar_label(bars, fmt="%.1f", padding=8, fontsize=9)
    axes.set_xlabel("photographs of 12 megapixels a second")
    axes.set_xlim(0, max(rates) * 1.15)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def measure(folder: ModelFolder, photos: Sequence[bytes], rounds: int) -> dict[str, Any]:
    """All sides in turns, on models that are forms of one."""
    with ExitStack() as stack:
        loops = {batch: stack.enter_context(loop(FOLDER / "open_clip", batch)) for batch in BATCHES}
        tried = {str(batch): take(photos[: max(BATCHES)]) for batch, take in loops.items() for _ in range(2)}
        batch = min(loops, key=lambda batch: tried[str(batch)])
        sides = {LOOP: loops[batch]}
        sides[INFINITY] = stack.enter_context(infinity((FOLDER / "huggingface").resolve()))
        sides[OURS] = stack.enter_context(ours(folder.path))
        rates = in_turns(sides, photos, rounds)
    return {
        "photographs": len(photos),
        "clients": CLIENTS,
        "together": TOGETHER,
        "batch of the loop": batch,
        **summary(rates),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ingest", description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULT, help="where the result goes, as JSON, and a plot beside it")
    parser.add_argument("--quick", action="store_true", help="few pictures and rounds, to see that it works")
    parser.add_argument("--reuse", action="store_true", help=f"the models that the last run left in {FOLDER}")
    arguments = parser.parse_args()
    count, rounds = (16, 2) if arguments.quick else (32, 5)

    FOLDER.mkdir(parents=True, exist_ok=True)
    photos = [path.read_bytes() for path in photographs(PHOTOGRAPHS, count)]
    folder = read_folder(FOLDER / "ours") if arguments.reuse else random_model(FOLDER)
    if not arguments.reuse:
        export_huggingface(folder, FOLDER / "huggingface")
    report = measure(folder, photos, rounds)
    report["agreement with full decoding"] = agreement(folder, photos)
    for name, side in report["sides"].items():
        print(f"{name:34} {side['per_second']:6.2f} a second ({side['lower']:.2f} to {side['upper']:.2f})")
    for name, times in report["times as fast as"].items():
        print(f"{times:.2f} × {name}")
    print(f"smallest cosine to full decoding: {report['agreement with full decoding']}")
    write_report(arguments.out, PACKAGES, report)
    plot(report, arguments.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
