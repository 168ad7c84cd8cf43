"""How long a text tower takes for texts of each length: in CPU time of one thread, whatever else the machine does."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

import torch

from benchmarks.timing import Timing
from model.clip import text_tower
from model.config import TextTowerConfig

LENGTHS = (8, 16, 32, 64, 128, 256, 512)
BATCHES = {"forward": (1, 8), "forward and backward": (8,)}
"""What is timed → texts at once: one is a query, eight a small batch."""


def measure(
    towers: Mapping[str, TextTowerConfig], seconds: float, lengths: tuple[int, ...] = LENGTHS
) -> Iterator[dict[str, Any]]:
    """One row a tower, length, and thing that is timed; the towers take turns, so that drift harms all alike."""
    torch.manual_seed(0)
    built = {name: text_tower(config) for name, config in towers.items()}
    for length in lengths:
        for what, batches in BATCHES.items():
            for batch in batches:
                for name, tower in built.items():
                    ids = torch.randint(towers[name].vocab_size, (batch, length))
                    timing = cpu_time(_call(tower, ids, backward=what != "forward"), seconds)
                    yield {"tower": name, "length": length, "batch": batch, "what": what, **asdict(timing)}


def cpu_time(call: Callable[[], object], seconds: float, least: int = 5) -> Timing:
    """Seconds of CPU of the calling thread; with one thread there is no other, and none of its time is waiting."""
    call()
    times: list[float] = []
    while len(times) < least or sum(times) < seconds:
        start = time.thread_time()
        call()
        times.append(time.thread_time() - start)
    lower, median, upper = statistics.quantiles(times, n=4)
    return Timing(median_s=median, lower_s=lower, upper_s=upper, calls=len(times))


def _call(tower: torch.nn.Module, ids: torch.Tensor, backward: bool) -> Callable[[], object]:
    mask = torch.ones_like(ids, dtype=torch.bool)
    if not backward:
        return torch.inference_mode()(lambda: tower(ids, mask))
    parameters = list(tower.parameters())
    return lambda: torch.autograd.grad(tower(ids, mask).sum(), parameters)
