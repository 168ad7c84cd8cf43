"""What the service does, without HTTP: add, change, delete, search and classify pictures.

Every method blocks, and may be called from many threads.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import BinaryIO, Self, TypeVar

import numpy as np

from app.admission.claim import given_up
from app.errors import OriginalLost
from app.gallery.intake import CHUNK, Intake, Upload
from app.gallery.store import Added, Put, Store
from app.index.live import TARGET_RECALL
from app.inference.classifier import Verdict, verdicts
from app.inference.lane import Encoder, Lane, Row
from app.inference.queries import Part, QueryEncoder, Source, Words
from app.inference.relevance import BACKGROUND, judge_of
from app.records.metadata import Metadata, patched
from app.records.record import EVERY, Condition, Record, Vector, Vectors
from app.storage.folder import DataFolder
from app.storage.originals import THUMBNAIL_SIDE, thumbnail
from model.errors import ParallaxError
from model.picture import Picture, decode

T = TypeVar("T")

__all__ = ["CHUNK", "Gallery", "Match", "Upload"]


@dataclass(frozen=True, slots=True)
class Match:
    """A search result."""

    record: Record
    score: float
    """Cosine similarity, -1 to 1."""
    relevance: float
    """0 to 1; see app/inference/relevance.py."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found."""

    matches: list[Match]
    exact: bool
    """Whether these are certainly the nearest ones."""
    recall_estimate: float | None
    """The share of the ten nearest that such a search finds; None if these are exact, or it was not measured."""


class Gallery:
    """The pictures of a data folder, searchable by what they show. Context manager."""

    def __init__(
        self, folder: DataFolder, encoder: Encoder, *, max_pixels: int, target_recall: float = TARGET_RECALL
    ) -> None:
        self.encoder, self._max_pixels = encoder, max_pixels
        self._judge = judge_of(encoder)
        self._store = Store(folder, dim=encoder.dim, fingerprint=encoder.fingerprint, target_recall=target_recall)
        self._lane = Lane(encoder)
        # Decoding takes a core and, for the largest pictures, a gigabyte. Uploads and searches have some slots each, so
        # that neither waits for the other.
        slots = min(4, os.cpu_count() or 1)
        self._query_slots = threading.BoundedSemaphore(slots)
        self._intake = Intake(self._store, encoder, self._lane, decode=self._decode, slots=slots)
        self._queries = QueryEncoder(encoder, self._lane, row=self._row, kept=self._kept)

    def close(self) -> None:
        """Finish accepted work and close the files."""
        self._intake.close()
        self._lane.close()
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # Reading

    def __len__(self) -> int:
        return self._store.catalog.count()

    def get(self, image_id: str) -> Record:
        """Raises NotFound."""
        return self._store.get(image_id)

    def find(self, image_id: str) -> Record | None:
        """None if it is not there."""
        return self._store.catalog.by_id(image_id)

    def has(self, image_id: str) -> bool:
        return self.find(image_id) is not None

    def page(self, limit: int, before: int | None = None, condition: Condition = EVERY) -> tuple[list[Record], int]:
        """Records that meet a condition, newest first, from those older than the key `before`; and how many meet it."""
        with self._store.catalog.snapshot() as records:
            return records.newest(limit, before, condition), records.count(condition)

    def content(self, image_id: str) -> tuple[Record, BinaryIO]:
        """A record, and its original bytes, opened. Raises NotFound or OriginalLost."""
        return self._of_current(image_id, self._store.content)

    def kept_thumbnail(self, image_id: str) -> tuple[Record, bytes | None]:
        """A record, and its thumbnail if there is one. Raises NotFound."""
        record = self.get(image_id)
        return record, self._store.originals.read_thumbnail(record.sha256)

    def thumbnail(self, image_id: str) -> tuple[Record, bytes]:
        """A record, and a small WebP of it, made again if it is missing. Raises NotFound or OriginalLost."""
        return self._of_current(image_id, self._thumbnail)

    def _thumbnail(self, record: Record) -> bytes:
        originals = self._store.originals
        small = originals.read_thumbnail(record.sha256)
        if small is None:
            with self._query_slot():
                small = thumbnail(self._decode(self._store.original(record)))
            originals.write_thumbnail(record.sha256, small)
            if self._store.catalog.by_sha256(record.sha256) is None:  # deleted meanwhile, with the thumbnail there was
                originals.remove_thumbnail(record.sha256)
        return small

    def _of_current(self, image_id: str, read: Callable[[Record], T]) -> tuple[Record, T]:
        """What is read of a record's file; of its next one, if the picture is replaced in this very moment."""
        while True:
            record = self.get(image_id)
            try:
                return record, read(record)
            except OriginalLost:
                if self.get(image_id).sha256 == record.sha256:
                    raise

    # Searching

    def search(
        self,
        parts: Sequence[Part],
        *,
        limit: int,
        offset: int = 0,
        condition: Condition = EVERY,
        min_relevance: float | None = None,
    ) -> Found:
        """The pictures nearest to the parts together, best first, among those that meet a condition.

        Raises what `QueryEncoder.query` raises, and NotReady.
        """
        self._store.index.check()
        query = self._queries.query(parts)
        with self._store.index.view() as view:
            found = view.find(query.vector, limit, offset, view.keys(condition))
            background, size = view.index.sample_scores(query.vector, BACKGROUND), len(view.index)
        scores = np.array([hit.score for hit in found.hits], dtype=np.float32)
        probabilities = self._judge.probability(query.kind, scores, background, size).tolist()
        relevances = [round(probability, 4) for probability in probabilities]  # as answered, so that it can be a cutoff
        matches = [
            Match(hit.record, hit.score, relevance) for hit, relevance in zip(found.hits, relevances, strict=True)
        ]
        matches = [match for match in matches if min_relevance is None or match.relevance >= min_relevance]
        return Found(matches, found.exact, found.recall_estimate)

    def classify(self, source: Source, labels: Sequence[str], template: str = "{}") -> list[Verdict]:
        """Which of the labels fits a picture, best first. Raises what `encode` raises."""
        sentences = [Words(template.replace("{}", label)) for label in labels]
        picture, *texts = self.encode([source, *sentences])
        return verdicts(labels, picture, np.stack(texts), self.encoder.logit_scale)

    def encode(self, sources: Sequence[Source]) -> Vectors:
        """A unit vector of each (n, dim). Raises PictureError, InvalidRequest or NotFound."""
        return self._queries.vectors(sources)

    # Writing

    def add(self, upload: Upload) -> Added:
        """Add one picture. Raises PictureError, IdTaken or InvalidRequest."""
        (outcome,) = self.add_many([upload])
        if isinstance(outcome, ParallaxError):
            raise outcome
        return outcome

    def add_many(self, uploads: Iterable[Upload]) -> list[Added | ParallaxError]:
        """Add pictures, each for itself: its record, or what is wrong with it. In the order given."""
        return self._intake.add_many(uploads)

    def put(self, upload: Upload) -> Put:
        """Add a picture under its id, or put it in the place of the one that is there. Raises as `add`, but IdTaken."""
        return self._intake.put(upload)

    def patch(self, image_id: str, patch: Metadata) -> Record:
        """Change metadata by a JSON merge patch. Raises NotFound, and InvalidRequest if they become too large."""
        return self._store.update_metadata(image_id, lambda metadata: patched(metadata, patch))

    def delete(self, image_id: str) -> None:
        """Remove a picture; when this returns, no search finds it. Raises NotFound."""
        self._store.delete(image_id)

    # Opening: searches raise NotReady before

    @property
    def indexed(self) -> int:
        """Vectors that are searched."""
        return len(self._store.index)

    @property
    def recall_estimate(self) -> float | None:
        """The share of the ten nearest pictures that searches without a filter find; None if they compare with all."""
        return self._store.index.recall_estimate

    def encode_missing(self, report: Callable[[int, int], None], stop: threading.Event) -> None:
        """Make the vectors that this model has not made yet, from the originals."""
        self._intake.encode_missing(report, stop)

    def encode_anew(self, report: Callable[[int, int], None], stop: threading.Event) -> None:
        """As `encode_missing`, damaged vectors too; and trust no index that is on disk."""
        self._store.index.forget_file()
        self._store.drop_damaged_vectors()
        self._intake.encode_missing(report, stop)

    def open_index(self, report: Callable[[int, int], None], stop: threading.Event) -> None:
        """Let searches in: read the index from its file, or make it from the catalog."""
        self._store.index.open(report)
        self._store.drop_other_vectors(stop)

    def save_index(self) -> None:
        """Keep the index for the next start, so far as it is."""
        self._store.index.save()

    def wait_because(self, sentence: str) -> None:
        """What searches are told until then."""
        self._store.index.not_ready = sentence

    # For those who watch over the process

    def waiting_for_model(self) -> dict[str, int]:
        """How many inputs of each kind wait."""
        return self._lane.waiting()

    def seconds_at_batch(self) -> float:
        """For how long the model has been at the batch that it is at."""
        return self._lane.seconds_at_batch()

    # Facts about the folder that outlive the process

    def note(self, name: str) -> str | None:
        return self._store.catalog.note(name)

    def set_note(self, name: str, value: str) -> None:
        self._store.set_note(name, value)

    # Decoding

    def _decode(self, data: bytes) -> Picture:
        """As large as the model and the thumbnail need it, and always the same, so that a picture finds itself."""
        return decode(data, max_pixels=self._max_pixels, at_least=max(self.encoder.side_needed, THUMBNAIL_SIDE))

    @contextmanager
    def _query_slot(self) -> Iterator[None]:
        """Wait for a slot to decode in. If nobody waits any more when there is one, this raises why."""
        with self._query_slots:
            if fault := given_up():
                raise fault
            yield

    def _row(self, data: bytes) -> Row:
        """A picture to search with, on its way to the model."""
        with self._query_slot():
            return self.encoder.preprocess(self._decode(data))

    def _kept(self, image_id: str) -> Vector | bytes:
        """The vector of a picture that is here, or its bytes if this model has not encoded it. Raises NotFound."""
        _, kept = self._of_current(image_id, self._vector_or_original)
        return kept

    def _vector_or_original(self, record: Record) -> Vector | bytes:
        vector = self._store.vector(record)
        return self._store.original(record) if vector is None else vector
