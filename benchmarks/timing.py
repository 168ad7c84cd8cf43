"""One way to take a time, so that every row of the report means the same."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """Seconds of one call: the median over all calls, and the quartiles as their spread."""

    median_s: float
    lower_s: float
    upper_s: float
    calls: int


def take(call: Callable[[], object], *, seconds: float = 3.0, least: int = 10) -> Timing:
    """Time a call again and again for some seconds, after two calls that warm caches and thread pools."""
    call()
    call()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < least or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    lower, median, upper = statistics.quantiles(times, n=4)
    return Timing(median_s=median, lower_s=lower, upper_s=upper, calls=len(times))
