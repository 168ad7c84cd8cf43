"""The one way to the model: rows of many requests go through it together, in batches.

A single thread runs the model, so that requests do not fight over the cores and rows that wait are encoded together.
Three queues take turns, batch by batch: a search waits for one batch of uploads at most, and uploads never starve.
A queue that is full makes its callers wait; how many callers there can be is decided at the door (`admission/door.py`).
What a request no longer waits for (`admission/claim.py`) is dropped before it reaches the model.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from app.admission.claim import claimed
from app.errors import EncoderFault
from app.operations import metrics
from app.records.record import Vector, Vectors
from model.picture import Picture

Row = NDArray[Any]
"""One picture, preprocessed: one row of a batch."""

log = logging.getLogger("parallax")


class Encoder(Protocol):
    """What the service asks of a model; `model.load` returns one. Vectors are float32 (n, dim), each of unit length."""

    @property
    def dim(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def logit_scale(self) -> float: ...
    @property
    def logit_bias(self) -> float: ...
    @property
    def side_needed(self) -> int: ...
    def preprocess(self, picture: Picture) -> Row: ...
    def encode_pixels(self, batch: Sequence[Row]) -> Vectors: ...
    def encode_texts(self, texts: Sequence[str]) -> Vectors: ...


@dataclass(eq=False, slots=True)
class _Queue:
    kind: str
    encode: Callable[[Sequence[Any]], Vectors]
    waiting: deque[tuple[Any, Future[Vector]]] = field(default_factory=deque)


class Lane:
    """Encodes for many threads at once. Each method queues one input and gives a future of its vector.

    The future raises EncoderFault if the model fails on that input; its neighbours in the batch are not harmed. It is
    cancelled when the claim in force is dropped before the model has been given the input.
    """

    def __init__(self, encoder: Encoder, *, batch: int = 32, room: int = 256) -> None:
        self._dim, self._batch, self._room = encoder.dim, batch, room
        self._texts = _Queue("texts", encoder.encode_texts)
        self._queries = _Queue("queries", encoder.encode_pixels)
        self._uploads = _Queue("uploads", encoder.encode_pixels)
        self._turns = deque([self._texts, self._queries, self._uploads])
        self._changed = threading.Condition()
        self._closing = self._ended = False
        self._batch_began: float | None = None
        self._thread = threading.Thread(target=self._work, name="lane")
        self._thread.start()

    def text(self, text: str) -> Future[Vector]:
        return self._put(self._texts, text)

    def query(self, row: Row) -> Future[Vector]:
        """A picture to search with."""
        return self._put(self._queries, row)

    def upload(self, row: Row) -> Future[Vector]:
        """A picture to keep."""
        return self._put(self._uploads, row)

    def seconds_at_batch(self) -> float:
        """For how long the model has been at the batch that it is at."""
        began = self._batch_began
        return 0.0 if began is None else time.monotonic() - began

    def waiting(self) -> dict[str, int]:
        """How many inputs of each kind wait for the model."""
        return {queue.kind: len(queue.waiting) for queue in (self._texts, self._queries, self._uploads)}

    def close(self) -> None:
        """Finish what is queued, then stop; what comes later is cancelled."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()

    def _put(self, queue: _Queue, item: object) -> Future[Vector]:
        future: Future[Vector] = Future()
        claimed(future)
        with self._changed:
            self._changed.wait_for(lambda: self._ended or len(queue.waiting) < self._room)
            if self._ended:
                future.cancel()
                return future
            queue.waiting.append((item, future))
            self._changed.notify_all()
        return future

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or any(queue.waiting for queue in self._turns))
                queue = next((queue for queue in self._turns if queue.waiting), None)
                if queue is None:
                    self._ended = True
                    self._changed.notify_all()
                    return
                self._turns.remove(queue)
                self._turns.append(queue)
                jobs = self._next_batch(queue)
                self._changed.notify_all()
            if jobs:
                metrics.BATCH_SIZE.labels(queue.kind).observe(len(jobs))
                self._batch_began = time.monotonic()
                with metrics.ENCODE_SECONDS.labels(queue.kind).time():
                    self._run(queue, jobs)
                self._batch_began = None

    def _next_batch(self, queue: _Queue) -> list[tuple[Any, Future[Vector]]]:
        jobs: list[tuple[Any, Future[Vector]]] = []
        while queue.waiting and len(jobs) < self._batch:
            item, future = queue.waiting.popleft()
            if future.set_running_or_notify_cancel():
                jobs.append((item, future))
        return jobs

    def _run(self, queue: _Queue, jobs: Sequence[tuple[Any, Future[Vector]]]) -> None:
        try:
            vectors = queue.encode([item for item, _ in jobs])  # (n, dim)
            if vectors.shape != (len(jobs), self._dim) or not np.isfinite(vectors).all():
                raise ValueError(f"the model gave {vectors.shape}, or numbers that are not finite")
        except Exception as error:
            if len(jobs) > 1:  # so that only the one at fault fails
                for job in jobs:
                    self._run(queue, [job])
                return
            metrics.ENCODE_ERRORS.labels(queue.kind).inc()
            log.exception("the model failed on one input")
            fault = EncoderFault("The model failed on this input.")
            fault.__cause__ = error
            jobs[0][1].set_exception(fault)
            return
        for (_, future), vector in zip(jobs, vectors, strict=True):
            future.set_result(vector)
