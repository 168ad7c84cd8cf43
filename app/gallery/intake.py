"""Pictures on their way in: bytes, decoded picture, preprocessed row, batch, vector, store."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

import numpy as np

from app.admission.claim import given_up
from app.errors import InvalidRequest, StorageError
from app.gallery.store import Added, Candidate, Put, Store
from app.inference.lane import Encoder, Lane
from app.records.identifier import RULE, is_valid, new_id
from app.records.metadata import Metadata
from app.records.record import Entry, Record, Vector
from app.storage.originals import Staged, thumbnail
from model.errors import ParallaxError
from model.picture import Picture

CHUNK = 64
"""Pictures that become durable together: a commit waits for the disk once, however many rows it holds."""

T = TypeVar("T")

log = logging.getLogger("parallax")


@dataclass(frozen=True, slots=True)
class Upload:
    """A picture to add."""

    data: bytes
    id: str | None = None
    metadata: Metadata = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A picture that can be added as soon as the model has its vector."""

    entry: Entry
    vector: Future[Vector]
    thumbnail: bytes
    staged: Staged
    named: bool


class Intake:
    """Adds pictures to a store. Any thread may use it; decoding, which takes a core, is done in `slots` of its own."""

    def __init__(
        self, store: Store, encoder: Encoder, lane: Lane, *, decode: Callable[[bytes], Picture], slots: int
    ) -> None:
        self._store, self._encoder, self._lane, self._decode = store, encoder, lane, decode
        self._decoders = ThreadPoolExecutor(slots, thread_name_prefix="decode")

    def close(self) -> None:
        """Finish what was accepted."""
        self._decoders.shutdown()

    def add_many(self, uploads: Iterable[Upload]) -> list[Added | ParallaxError]:
        """Add pictures, each for itself: its record, or what is wrong with it. In the order given.

        When nobody waits any more, those that have their vectors are still added; of the others, this is what is wrong.
        """
        return [outcome for chunk in _chunks(uploads) for outcome in self._add_chunk(chunk)]

    def _add_chunk(self, chunk: Sequence[tuple[Upload, str]]) -> list[Added | ParallaxError]:
        preparing = [self._submit(self._prepare_new, upload, sha256) for upload, sha256 in chunk]
        try:
            prepared = [one.result() for one in preparing]
            outcomes = [_candidate(one) if isinstance(one, _Prepared) else one for one in prepared]
            added = iter(self._add([one for one in outcomes if isinstance(one, Candidate)]))
            return [next(added) if isinstance(one, Candidate) else one for one in outcomes]
        finally:
            done = [one.result() for one in preparing if one.exception() is None]
            self._store.originals.discard(one.staged for one in done if isinstance(one, _Prepared))

    def _submit(self, prepare: Callable[[Upload, str], T], upload: Upload, sha256: str) -> Future[T]:
        """In a decode thread, but in the context of this one: under its claim, and with its id in the log."""
        return self._decoders.submit(copy_context().run, prepare, upload, sha256)

    def _add(self, candidates: Sequence[Candidate]) -> Sequence[Added | ParallaxError]:
        try:
            return self._store.add(candidates)
        except StorageError as error:  # earlier chunks of the same upload are added all the same
            return [error] * len(candidates)

    def _prepare_new(self, upload: Upload, sha256: str) -> _Prepared | Added | ParallaxError:
        try:
            if upload.id is not None:
                _check_id(upload.id)
                if taken := self._store.id_taken(upload.id):
                    return taken
            elif twin := self._store.catalog.by_sha256(sha256):
                self._store.restore(sha256, upload.data)
                if not self._store.without_vector_of(sha256):
                    return Added(twin, duplicate=True)
            return self._prepare(upload, sha256)
        except ParallaxError as error:
            return error

    def put(self, upload: Upload) -> Put:
        """Add a picture under its id, or put it in the place of the one that is there.

        Raises PictureError or InvalidRequest; what was there then stays.
        """
        _check_id(upload.id or "")
        prepared = self._submit(self._prepare, upload, hashlib.sha256(upload.data).hexdigest()).result()
        if isinstance(prepared, ParallaxError):
            raise prepared
        try:
            candidate = _candidate(prepared)
            if isinstance(candidate, ParallaxError):
                raise candidate
            return self._store.put(candidate)
        finally:
            self._store.originals.discard([prepared.staged])

    def _prepare(self, upload: Upload, sha256: str) -> _Prepared | ParallaxError:
        """What needs no order among uploads: decode, once, for vector and thumbnail; write the original to disk.

        If nobody waits any more, nothing is done, and the reason is returned.
        """
        if fault := given_up():
            return fault
        picture = self._decode(upload.data)
        entry = Entry(
            id=upload.id or new_id(),
            sha256=sha256,
            content_type=picture.content_type,
            bytes=len(upload.data),
            width=picture.width,
            height=picture.height,
            created_at=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            metadata=upload.metadata,
        )
        vector = self._lane.upload(self._encoder.preprocess(picture))
        small = thumbnail(picture)
        staged = self._store.originals.stage(sha256, upload.data)
        return _Prepared(entry, vector, small, staged, named=upload.id is not None)

    def encode_missing(self, report: Callable[[int, int], None], stop: threading.Event) -> None:
        """Make the vectors that this model has not made yet, from the originals.

        `report` is told how many of how many are done. A picture whose original is lost stays without a vector.
        """
        total, done, last = self._store.count_without_vector(), 0, 0
        report(done, total)
        while not stop.is_set() and (chunk := self._store.without_vector(last, CHUNK)):
            encoding = list(zip(chunk, self._decoders.map(self._encode_again, chunk), strict=True))
            encoded = [
                (record, vector) for record, future in encoding if (vector := _vector(record, future)) is not None
            ]
            if encoded:
                self._store.set_vectors([record for record, _ in encoded], np.stack([vector for _, vector in encoded]))
            done, last = done + len(chunk), chunk[-1].key
            report(done, total)

    def _encode_again(self, record: Record) -> Future[Vector]:
        try:
            picture = self._decode(self._store.original(record))
        except ParallaxError as error:
            failed: Future[Vector] = Future()
            failed.set_exception(error)
            return failed
        return self._lane.upload(self._encoder.preprocess(picture))


def _check_id(image_id: str) -> None:
    if not is_valid(image_id):
        raise InvalidRequest(f"The id {image_id!r} cannot be used: an id has {RULE}.")


def _chunks(uploads: Iterable[Upload]) -> Iterator[list[tuple[Upload, str]]]:
    """Uploads with the SHA-256 of their bytes, so many at a time; a repeated picture or id begins a new chunk.

    A chunk is one transaction, so what repeats must come after it to find the first one in the catalog.
    """
    chunk: list[tuple[Upload, str]] = []
    seen: set[str] = set()
    for upload in uploads:
        sha256 = hashlib.sha256(upload.data).hexdigest()
        marks = {sha256} if upload.id is None else {sha256, f"id {upload.id}"}
        if len(chunk) == CHUNK or seen & marks:
            yield chunk
            chunk, seen = [], set()
        chunk.append((upload, sha256))
        seen |= marks
    if chunk:
        yield chunk


def _candidate(prepared: _Prepared) -> Candidate | ParallaxError:
    try:
        vector = prepared.vector.result()
    except ParallaxError as error:
        return error
    except CancelledError:
        if fault := given_up():
            return fault
        raise
    return Candidate(prepared.entry, vector, prepared.thumbnail, prepared.staged, prepared.named)


def _vector(record: Record, future: Future[Vector]) -> Vector | None:
    try:
        return future.result()
    except ParallaxError as error:
        log.error("the picture %s cannot be searched for: %s", record.id, error)
        return None
