"""`python -m benchmarks.attention`: which of the ways to compute attention is fastest where, on the CPU.

`MultiHeadAttention` chooses by what this says: run it again on another machine, or with another release of torch.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.machine import write_report
from benchmarks.timing import Timing, take
from model.transformer import attention, batched_attention, fused_attention

PACKAGES = ("torch",)
WAYS: tuple[Callable[..., Tensor], ...] = (attention, batched_attention, fused_attention)
PRECISIONS = {"float32": torch.float32, "bfloat16 autocast": torch.bfloat16}
WIDTH = 64
"""Of a head: that of every CLIP."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where attention is used, and the shape it has there; a text is masked, as if it were padded."""

    name: str
    batch: int
    tokens: int
    heads: int
    masked: bool


PLACES = (
    Place("a short text, one query", 1, 16, 4, masked=True),
    Place("short texts, a training batch", 256, 16, 4, masked=True),
    Place("small pictures, a training batch", 128, 37, 4, masked=False),
    Place("CLIP's text", 8, 77, 8, masked=True),
    Place("ViT-B/16's picture", 8, 197, 12, masked=False),
    Place("ViT-L/14's picture, 336 pixels", 1, 577, 16, masked=False),
)


def calls(place: Place, way: Callable[..., Tensor], dtype: torch.dtype) -> Iterator[tuple[str, Callable[[], object]]]:
    """(what, call): the way alone, as in encoding, and with its gradients, as in training."""
    torch.manual_seed(0)
    shape = (place.batch, place.tokens, place.heads, WIDTH)  # as the projections leave them
    q, k, v = (torch.randn(shape, dtype=dtype).transpose(1, 2).requires_grad_() for _ in range(3))
    mask = (torch.rand(place.batch, 1, 1, place.tokens) < 0.8).index_fill_(3, torch.tensor(0), 1)
    gradient = torch.randn(shape, dtype=dtype).transpose(1, 2)

    def forward() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype != torch.float32):
            return way(q, k, v, mask if place.masked else None)

    yield "forward", torch.no_grad()(forward)
    yield "forward and backward", lambda: torch.autograd.grad(forward(), (q, k, v), gradient)


def measure(seconds: float) -> Iterator[tuple[Place, str, str, dict[str, Timing]]]:
    """(place, precision, what, timing of each way)."""
    for place in PLACES:
        for precision, dtype in PRECISIONS.items():
            timings: dict[str, dict[str, Timing]] = {}
            for way in WAYS:
                for what, call in calls(place, way, dtype):
                    timings.setdefault(what, {})[way.__name__] = take(call, seconds=seconds)
            yield from ((place, precision, what, by_way) for what, by_way in timings.items())


def report(seconds: float) -> list[dict[str, object]]:
    """Measure all of it, print it as a table with an arrow at the fastest way, and return its rows."""
    rows: list[dict[str, object]] = []
    print(f"{'':76}" + "".join(f"{way.__name__:>19}" for way in WAYS))
    for place, precision, what, timings in measure(seconds):
        fastest = min(timings.values(), key=lambda timing: timing.median_s)
        columns = [f"{t.median_s * 1e3:13.3f} ms {'←' if t is fastest else '':2}" for t in timings.values()]
        print(f"{place.name:34}{precision:20}{what:22}" + "".join(columns), flush=True)
        times = {name: asdict(timing) for name, timing in timings.items()}
        rows.append({**asdict(place), "precision": precision, "what": what, "ways": times})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attention", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="spent on each number (1)")
    parser.add_argument("--out", type=Path, help="write the results there as JSON")
    arguments = parser.parse_args()

    rows = report(arguments.seconds)
    if arguments.out:
        write_report(arguments.out, PACKAGES, {"threads": torch.get_num_threads(), "measures": rows})


if __name__ == "__main__":
    main()
