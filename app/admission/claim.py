"""What is done for a request, so that it can be dropped when nobody waits for the answer any more."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from model.errors import ParallaxError

_current: ContextVar[Claim | None] = ContextVar("claim", default=None)


class Claim:
    """The futures that a request waits for. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: set[Future[Any]] = set()
        self.fault: ParallaxError | None = None
        """Why nobody waits any more, once the claim is dropped."""

    def hold(self, future: Future[Any]) -> None:
        """Cancel this future when the claim is dropped; now, if it has been."""
        with self._lock:
            if self.fault is None:
                self._held.add(future)
                future.add_done_callback(self._held.discard)
                return
        future.cancel()

    def drop(self, fault: ParallaxError) -> None:
        """Nobody waits any more: what has not been begun is not done. Of several reasons, the first one counts."""
        with self._lock:
            self.fault = self.fault or fault
            held = list(self._held)
        for future in held:
            future.cancel()

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """Work that is begun in this block, and in threads that run in its context, is held by this claim."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)


def claimed(future: Future[Any]) -> None:
    """Have the claim in force hold a future, if there is one."""
    if (claim := _current.get()) is not None:
        claim.hold(future)


def given_up() -> ParallaxError | None:
    """Why nobody waits any more for what this thread does; None if somebody does, or if no claim is in force."""
    claim = _current.get()
    return None if claim is None else claim.fault
