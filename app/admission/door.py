"""The door: how many requests of a kind are worked on at a time, how many may wait, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from functools import partial
from typing import ParamSpec, TypeVar

import anyio
import anyio.to_thread

from app.admission.claim import Claim
from app.admission.presence import client_gone
from app.errors import Abandoned, Overloaded, TooLate
from app.operations import metrics
from model.errors import ParallaxError

P = ParamSpec("P")
T = TypeVar("T")


class Door:
    """Runs blocking work in threads, off the event loop. `workers` at a time, `queue` waiting; the rest is refused.

    Work whose client has gone, or whose `seconds` are over, is dropped unless it has been begun; of begun work, the
    pictures that have not been fetched or decoded, and what the model has not been given yet. What begun work then
    returns is still its answer: it may have stored something.
    """

    def __init__(self, name: str, *, workers: int, queue: int, seconds: float) -> None:
        self.name = name
        self._room, self._seconds = workers + queue, seconds
        self._threads = anyio.CapacityLimiter(workers)
        self._inside = 0

    @property
    def working(self) -> int:
        """Requests that are worked on."""
        return int(self._threads.borrowed_tokens)

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return self._inside - self.working

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Raises Overloaded at once if the queue is full, TooLate when time is up, otherwise what `work` raises."""
        if self._inside >= self._room:
            metrics.REFUSED.labels(self.name, "full").inc()
            raise Overloaded("Too many requests are waiting. Try again in a moment.")
        claim, scope = Claim(), anyio.CancelScope()

        def stop(fault: ParallaxError, reason: str) -> None:
            metrics.REFUSED.labels(self.name, reason).inc()
            claim.drop(fault)
            scope.cancel()

        async def watch() -> None:
            await client_gone()
            stop(Abandoned("The client has closed the connection."), "gone")

        late = TooLate(f"The service is busy and could not do this within {self._seconds:g} seconds. Try again.")
        timer = asyncio.get_running_loop().call_later(self._seconds, stop, late, "late")
        watching = asyncio.create_task(watch())
        self._inside += 1
        try:
            with claim.in_force(), scope, suppress(CancelledError):
                return await anyio.to_thread.run_sync(partial(work, *args, **kwargs), limiter=self._threads)
        except asyncio.CancelledError:  # the server waits no longer, but the thread goes on
            claim.drop(TooLate("The service is stopping."))
            raise
        finally:
            self._inside -= 1
            timer.cancel()
            watching.cancel()
        raise claim.fault or TooLate("The service is stopping.")
