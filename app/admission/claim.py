"""What a request asks of the model, so that it can be dropped when nobody waits for the answer any more."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_current: ContextVar[Claim | None] = ContextVar("claim", default=None)


class Claim:
    """The futures that a request waits for. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: set[Future[Any]] = set()
        self._dropped = False

    def hold(self, future: Future[Any]) -> None:
        """Cancel this future when the claim is dropped; now, if it has been."""
        with self._lock:
            if not self._dropped:
                self._held.add(future)
                future.add_done_callback(self._held.discard)
                return
        future.cancel()

    def drop(self) -> None:
        """Nobody waits any more: what has not been begun is not done."""
        with self._lock:
            self._dropped = True
            held = list(self._held)
        for future in held:
            future.cancel()

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """Work that is begun in this block, and in the threads it hands work to, is held by this claim."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)


def claimed(future: Future[Any]) -> None:
    """Have the claim in force hold a future, if there is one."""
    if (claim := _current.get()) is not None:
        claim.hold(future)
