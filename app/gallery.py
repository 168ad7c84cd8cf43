"""What the service does, without HTTP: add, delete and search pictures.

A picture travels one way: bytes, decoded picture, preprocessed row, batch, vector, store. Every method blocks, and may
be called from many threads.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from app.catalog import Entry, Record, Vector
from app.errors import InvalidRequest
from app.folder import DataFolder
from app.identifier import RULE, is_valid, new_id
from app.lane import Encoder, Lane
from app.metadata import Metadata
from app.originals import Staged, thumbnail
from app.store import Added, Candidate, Hit, Store
from model.errors import ParallaxError
from model.picture import Picture, decode

CHUNK = 64
"""Pictures that become durable together: a commit waits for the disk once, however many rows it holds."""

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


class Gallery:
    """The pictures of a data folder, searchable by what they show. Context manager.

    `encode_missing` comes first if the folder was filled with another model.
    """

    def __init__(self, folder: DataFolder, encoder: Encoder, *, max_pixels: int) -> None:
        self._encoder, self._max_pixels = encoder, max_pixels
        self._store = Store(folder, dim=encoder.dim, fingerprint=encoder.fingerprint)
        self._lane = Lane(encoder)
        # Decoding takes a core and, for the largest pictures, a gigabyte. Uploads and searches have some slots each, so
        # that neither waits for the other.
        slots = min(4, os.cpu_count() or 1)
        self._decoders = ThreadPoolExecutor(slots, thread_name_prefix="decode")
        self._query_slots = threading.BoundedSemaphore(slots)

    def close(self) -> None:
        """Finish accepted work and close the files."""
        self._decoders.shutdown()
        self._lane.close()
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return self._store.catalog.count()

    # Reading

    def get(self, image_id: str) -> Record:
        """Raises NotFound."""
        return self._store.get(image_id)

    def has(self, image_id: str) -> bool:
        return self._store.catalog.by_id(image_id) is not None

    def newest(self, limit: int, before: int | None = None) -> list[Record]:
        """Newest first; with `before`, those older than the record of that key."""
        return self._store.catalog.newest(limit, before)

    def content(self, record: Record) -> Path:
        """The file with the original bytes. Raises OriginalLost."""
        return self._store.content(record)

    def thumbnail(self, record: Record) -> bytes:
        """A small WebP; made again if it is missing. Raises OriginalLost."""
        originals = self._store.originals
        small = originals.read_thumbnail(record.sha256)
        if small is None:
            with self._query_slots:
                small = thumbnail(self._decode(self.content(record).read_bytes()).drawn)
            originals.write_thumbnail(record.sha256, small)
        return small

    # Searching

    def search_text(self, text: str, limit: int, offset: int = 0) -> list[Hit]:
        """The pictures that show what the words say, best first."""
        return self._store.nearest(self._lane.text(text).result(), limit, offset)

    def search_picture(self, data: bytes, limit: int, offset: int = 0) -> list[Hit]:
        """The pictures that look like this one. Raises PictureError if the bytes are not a picture."""
        with self._query_slots:
            row = self._encoder.preprocess(self._decode(data).image)
        return self._store.nearest(self._lane.query(row).result(), limit, offset)

    def search_like(self, image_id: str, limit: int, offset: int = 0) -> list[Hit]:
        """As `search_picture` with a picture that is here; it is itself the first result. Raises NotFound."""
        record = self.get(image_id)
        vector = self._store.vector(record)
        if vector is None:
            return self.search_picture(self.content(record).read_bytes(), limit, offset)
        return self._store.nearest(vector, limit, offset)

    # Writing

    def add(self, upload: Upload) -> Added:
        """Add one picture. Raises PictureError, IdTaken or InvalidRequest."""
        (outcome,) = self.add_many([upload])
        if isinstance(outcome, ParallaxError):
            raise outcome
        return outcome

    def add_many(self, uploads: Iterable[Upload]) -> list[Added | ParallaxError]:
        """Add pictures, each for itself: its record, or what is wrong with it. In the order given."""
        return [outcome for chunk in _chunks(uploads) for outcome in self._add_chunk(chunk)]

    def _add_chunk(self, chunk: Sequence[tuple[Upload, str]]) -> list[Added | ParallaxError]:
        preparing = [self._decoders.submit(self._prepare, upload, sha256) for upload, sha256 in chunk]
        try:
            prepared = [one.result() for one in preparing]
            outcomes = [_candidate(one) if isinstance(one, _Prepared) else one for one in prepared]
            added = iter(self._store.add([one for one in outcomes if isinstance(one, Candidate)]))
            return [next(added) if isinstance(one, Candidate) else one for one in outcomes]
        finally:
            done = [one.result() for one in preparing if one.exception() is None]
            self._store.originals.discard(one.staged for one in done if isinstance(one, _Prepared))

    def _prepare(self, upload: Upload, sha256: str) -> _Prepared | Added | ParallaxError:
        """What needs no order among uploads: decode, once, for vector and thumbnail; write the original to disk."""
        try:
            if upload.id is not None:
                self._check_id(upload.id)
            elif twin := self._store.catalog.by_sha256(sha256):
                return Added(twin, duplicate=True)
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
            vector = self._lane.upload(self._encoder.preprocess(picture.image))
            small = thumbnail(picture.drawn)
            staged = self._store.originals.stage(sha256, upload.data)
            return _Prepared(entry, vector, small, staged, named=upload.id is not None)
        except ParallaxError as error:
            return error

    def _check_id(self, image_id: str) -> None:
        if not is_valid(image_id):
            raise InvalidRequest(f"The id {image_id!r} cannot be used: an id has {RULE}.")
        if taken := self._store.id_taken(image_id):
            raise taken

    def _decode(self, data: bytes) -> Picture:
        return decode(data, max_pixels=self._max_pixels)

    def delete(self, image_id: str) -> None:
        """Remove a picture; when this returns, no search finds it. Raises NotFound."""
        self._store.delete(image_id)

    def encode_missing(self, report: Callable[[int, int], None], stop: threading.Event) -> None:
        """Make the vectors that this model has not made yet, from the originals.

        `report` is told how many of how many are done. A picture whose original is lost stays without a vector.
        """
        total, done, last = self._store.count_without_vector(), 0, 0
        report(done, total)
        while not stop.is_set() and (chunk := self._store.without_vector(last, CHUNK)):
            encoding = list(zip(chunk, self._decoders.map(self._encode_again, chunk), strict=True))
            encoded = [(record, vector.result()) for record, vector in encoding if vector is not None]
            if encoded:
                self._store.set_vectors([record for record, _ in encoded], np.stack([vector for _, vector in encoded]))
            done, last = done + len(chunk), chunk[-1].key
            report(done, total)

    def _encode_again(self, record: Record) -> Future[Vector] | None:
        try:
            picture = self._decode(self.content(record).read_bytes())
        except ParallaxError as error:
            log.error("the picture %s cannot be searched for: %s", record.id, error)
            return None
        return self._lane.upload(self._encoder.preprocess(picture.image))

    # Facts about the folder that outlive the process

    def note(self, name: str) -> str | None:
        return self._store.catalog.note(name)

    def set_note(self, name: str, value: str) -> None:
        self._store.set_note(name, value)


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
    return Candidate(prepared.entry, vector, prepared.thumbnail, prepared.staged, prepared.named)
