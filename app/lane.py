"""The one way to the model: rows of many requests go through it together, in batches.

A single thread runs the model, so that requests do not fight over the cores and rows that wait are encoded together.
Three queues take turns, batch by batch: a search waits for one batch of uploads at most, and uploads never starve.
A queue that is full makes its callers wait; how many callers there can be is decided at the door (`admission.py`).
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.catalog import Vector, Vectors
from app.errors import EncoderFault

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
    def preprocess(self, image: Image.Image) -> Row: ...
    def encode_pixels(self, batch: Sequence[Row]) -> Vectors: ...
    def encode_texts(self, texts: Sequence[str]) -> Vectors: ...


@dataclass(eq=False, slots=True)
class _Queue:
    encode: Callable[[Sequence[Any]], Vectors]
    waiting: deque[tuple[Any, Future[Vector]]] = field(default_factory=deque)


class Lane:
    """Encodes for many threads at once. Each method queues one input and gives a future of its vector.

    The future raises EncoderFault if the model fails on that input; its neighbours in the batch are not harmed.
    """

    def __init__(self, encoder: Encoder, *, batch: int = 32, room: int = 256) -> None:
        self._dim, self._batch, self._room = encoder.dim, batch, room
        self._texts = _Queue(encoder.encode_texts)
        self._queries = _Queue(encoder.encode_pixels)
        self._uploads = _Queue(encoder.encode_pixels)
        self._turns = deque([self._texts, self._queries, self._uploads])
        self._changed = threading.Condition()
        self._closing = False
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

    def close(self) -> None:
        """Finish what is queued, then stop."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()

    def _put(self, queue: _Queue, item: object) -> Future[Vector]:
        future: Future[Vector] = Future()
        with self._changed:
            self._changed.wait_for(lambda: len(queue.waiting) < self._room)
            queue.waiting.append((item, future))
            self._changed.notify_all()
        return future

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or any(queue.waiting for queue in self._turns))
                queue = next((queue for queue in self._turns if queue.waiting), None)
                if queue is None:
                    return
                self._turns.remove(queue)
                self._turns.append(queue)
                jobs = [queue.waiting.popleft() for _ in range(min(self._batch, len(queue.waiting)))]
                self._changed.notify_all()
            self._run(queue.encode, jobs)

    def _run(self, encode: Callable[[Sequence[Any]], Vectors], jobs: Sequence[tuple[Any, Future[Vector]]]) -> None:
        try:
            vectors = encode([item for item, _ in jobs])  # (n, dim)
            if vectors.shape != (len(jobs), self._dim) or not np.isfinite(vectors).all():
                raise ValueError(f"the model gave {vectors.shape}, or numbers that are not finite")
        except Exception as error:
            if len(jobs) > 1:  # so that only the one at fault fails
                for job in jobs:
                    self._run(encode, [job])
                return
            log.exception("the model failed on one input")
            fault = EncoderFault("The model failed on this input.")
            fault.__cause__ = error
            jobs[0][1].set_exception(fault)
            return
        for (_, future), vector in zip(jobs, vectors, strict=True):
            future.set_result(vector)
