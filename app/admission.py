"""The door: how many requests of a kind are worked on at a time, and how many may wait."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

import anyio
import anyio.to_thread

from app.errors import Overloaded

P = ParamSpec("P")
T = TypeVar("T")


class Door:
    """Runs blocking work in threads, off the event loop. `workers` at a time, `queue` waiting; the rest is refused."""

    def __init__(self, *, workers: int, queue: int) -> None:
        self._threads = anyio.CapacityLimiter(workers)
        self._room = workers + queue
        self._inside = 0

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Raises Overloaded at once if the queue is full, otherwise what `work` raises."""
        if self._inside >= self._room:
            raise Overloaded("Too many requests are waiting. Try again in a moment.")
        self._inside += 1
        try:
            return await anyio.to_thread.run_sync(partial(work, *args, **kwargs), limiter=self._threads)
        finally:
            self._inside -= 1
