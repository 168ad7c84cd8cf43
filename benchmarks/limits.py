"""`python -m benchmarks.limits`: what this machine can do at most, which every speed is to be read against.

Products of square matrices by oneDNN in float32, bfloat16 and int8, and a sum over more memory than any cache holds.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch

from benchmarks.machine import write_report
from benchmarks.timing import Timing, take

RESULT = Path(__file__).parent / "results" / "limits.json"
SIDE = 2048
MEMORY = 1 << 30


def products() -> Iterator[tuple[str, float, Timing]]:
    """(type, 10⁹ operations of a product, its timing); a multiplication and an addition are two operations."""
    torch.manual_seed(0)
    floats = torch.randn(SIDE, SIDE)
    work = 2 * SIDE**3 / 1e9
    for dtype in (torch.float32, torch.bfloat16):
        matrix = floats.to(dtype)
        yield str(dtype).removeprefix("torch."), work, take(partial(torch.mm, matrix, matrix))
    whole = torch.randint(-128, 128, (SIDE, SIDE), dtype=torch.int8)
    yield "int8", work, take(partial(torch._int_mm, whole, whole))


def reading() -> Timing:
    """Of `MEMORY` bytes, once."""
    return take(torch.ones(MEMORY // 4).sum)


def _spread(timing: Timing) -> tuple[float, float, float]:
    """Seconds: median, and the quartiles, the slower first."""
    return timing.median_s, timing.upper_s, timing.lower_s


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.limits", description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULT, help="write the result there, as JSON")
    arguments = parser.parse_args()
    rates = {name: [work / s for s in _spread(timing)] for name, work, timing in products()}
    for name, (median, lower, upper) in rates.items():
        print(f"products in {name:10} {median:8.0f} GFLOP/s  ({lower:.0f} to {upper:.0f})")
    median, lower, upper = bandwidth = [MEMORY / 1e9 / s for s in _spread(reading())]
    print(f"reading memory         {median:8.1f} GB/s     ({lower:.1f} to {upper:.1f})")
    report = {"gflops": rates, "gigabytes_per_second": bandwidth, "side": SIDE, "threads": torch.get_num_threads()}
    write_report(arguments.out, ("torch",), report)


if __name__ == "__main__":
    main()
