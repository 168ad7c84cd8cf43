"""The index while the service runs: read or made at the start, in step with the catalog from then on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import numpy as np

from app.errors import IndexUnfit, NotReady, StorageError
from app.index.asked import Asked
from app.index.exact import Index, is_large
from app.index.file import IndexFile, Manifest, Stamp
from app.index.recall import MOST_ASKED
from app.index.rows import MappedRows
from app.index.selection import Selected
from app.index.timeline import Timeline
from app.index.upkeep import Upkeep
from app.index.view import View
from app.operations import metrics
from app.records.record import Vector, Vectors
from app.storage.catalog import Catalog, Change
from app.storage.snapshot import Snapshot, State

_TRIES = 3
_UNIT_LENGTH = 1e-2
"""How far from 1 the length of a vector may be; rounding to 16 bits is well within."""
TARGET_RECALL = 0.98
"""Where nobody sets another."""

log = logging.getLogger("parallax")


@dataclass(frozen=True, slots=True)
class _Improving:
    """An index that is being improved, and what the catalog does meanwhile."""

    timeline: Timeline
    before: Index
    changes: list[tuple[list[int], list[tuple[int, Vector]]]] = field(default_factory=list)
    """(removed, added)."""


class LiveIndex:
    """Makes every change of the catalog, so that none passes the index by. Searches wait for nobody.

    `writer` is the lock of the one who writes; methods that need it held say so.
    """

    def __init__(
        self,
        catalog: Catalog,
        file: IndexFile,
        writer: threading.Lock,
        *,
        dim: int,
        fingerprint: str,
        target_recall: float = TARGET_RECALL,
    ) -> None:
        self._catalog, self._file, self._writer = catalog, file, writer
        self._dim, self._fingerprint = dim, fingerprint
        self._timeline: Timeline | None = None
        self._missed: list[tuple[int, list[int], list[tuple[int, Vector]]]] | None = None
        """(changes, removed, added) since the index began to be made."""
        self._selected = Selected()
        self._asked = Asked(dim, MOST_ASKED)
        self._upkeep = Upkeep(file.folder, target_recall, begin=self._begin, finish=self._finish, asked=self._asked)
        self._improving: _Improving | None = None
        self._file_may_fit = True
        self._file_is_latest = True
        """Whether it has the lists that there are."""
        self._kept: Manifest | None = None
        """What the file says of its vectors, if it fits and they lie there as they do here."""
        self.not_ready = "Pictures cannot be searched yet: the index is being opened."
        """Why there is no index, as a sentence."""

    def __len__(self) -> int:
        """Vectors that are searched; 0 until there is an index."""
        return 0 if self._timeline is None else len(self._timeline.latest)

    @property
    def recall_estimate(self) -> float | None:
        """None if every vector is compared, or there is no index yet."""
        lists = None if self._timeline is None else self._timeline.latest.lists
        return None if lists is None else lists.recall

    @contextmanager
    def view(self) -> Iterator[View]:
        """The state at this moment, until the block ends. Raises NotReady."""
        with ExitStack() as stack:
            for _ in range(_TRIES):
                with ExitStack() as attempt:
                    records = attempt.enter_context(self._catalog.snapshot())
                    index = self._opened().at(records.state.changes)
                    if index is not None:
                        stack.push(attempt.pop_all())
                        break
            else:
                with self._writer:  # so that nobody overtakes once more
                    records = stack.enter_context(self._catalog.snapshot())
                    index = self._opened().at(records.state.changes)
                    if index is None:
                        index = self._made_anew(records)
            yield View(records, index, self._remember, self._selected)

    def check(self) -> None:
        """Raises NotReady, before a search does work for nothing."""
        self._opened()

    def _opened(self) -> Timeline:
        if self._timeline is None:
            raise NotReady(self.not_ready)
        return self._timeline

    def _made_anew(self, records: Snapshot) -> Index:
        log.error("the catalog was changed by another program; the index is made anew")
        self._file_may_fit = True
        self._forget_file()
        index = self._collect(records, lambda *_: None)
        self._timeline = Timeline(index, records.state.changes)
        return index

    # Writing; the caller holds the lock

    @contextmanager
    def change(self) -> Iterator[Change]:
        """A change of the catalog: on disk and seen by searches when the block has ended, or neither if it raises."""
        outcome: State | None = None
        change: Change | None = None
        try:
            with self._catalog.change() as change:
                if self._timeline is not None and not self._timeline.is_up_to(change.state.changes):
                    with self._catalog.snapshot() as records:
                        self._made_anew(records)
                yield change
                outcome = change.outcome()
                if outcome != change.state:
                    self._forget_file()
                    if self._timeline is not None:
                        self._timeline.prepare(outcome.changes, change.removed, change.added)
        except BaseException:
            if self._timeline is not None and outcome is not None:
                self._timeline.drop(outcome.changes)
            raise
        if outcome != change.state:
            if self._missed is not None:
                self._missed.append((outcome.changes, change.removed, change.added))
            if self._improving is not None:
                self._improving.changes.append((change.removed, change.added))
            if self._timeline is not None:
                self._timeline.settle(outcome.changes)
                self._upkeep.wake(self._timeline.latest)

    def _forget_file(self) -> None:
        if self._file_may_fit:
            self._file.forget()
            self._file_may_fit, self._kept = False, None

    def forget_file(self) -> None:
        """Let the next `open` make the index from the catalog."""
        with self._writer:
            self._forget_file()

    # Opening and saving, beside searches and writers

    def open(self, report: Callable[[int, int], None]) -> None:
        """Read the index from its file, or make it from the catalog if the file does not fit in every respect."""
        with self._writer:
            self._missed = []
        try:
            with self._catalog.snapshot() as records:
                index = self._load(records)
                if index is None:
                    index = self._collect(records, report)
                timeline = Timeline(index, records.state.changes)
            with self._writer:
                for changes, removed, added in self._missed:
                    if changes > records.state.changes:
                        timeline.prepare(changes, removed, added)
                        timeline.settle(changes)
                self._timeline = timeline
                if not self._file_may_fit:  # a writer may have removed it after it was read
                    self._kept = None
            self._upkeep.wake(timeline.latest)
        finally:
            self._missed = None

    def _load(self, records: Snapshot) -> Index | None:
        if not self._file_may_fit:
            return None
        try:
            loaded = self._file.load(self._stamp(records.state))
        except IndexUnfit as error:
            loaded = None
            if self._file_may_fit:  # else a writer has removed it while it was read
                log.warning("the index on disk is put aside and made anew from the catalog: %s", error)
                metrics.STORAGE_ERRORS.labels("index").inc()
                self._file.quarantine()
        if loaded is None:
            self._file_may_fit = False
            return None
        self._kept, index = loaded
        return index

    def _stamp(self, state: State) -> Stamp:
        return Stamp(model=self._fingerprint, dim=self._dim, changes=state.changes, token=state.token)

    def _collect(self, records: Snapshot, report: Callable[[int, int], None]) -> Index:
        total = records.count_vectors(self._fingerprint)
        if is_large(total):
            index = Index(self._dim, rows=MappedRows.in_folder(self._file.folder, total + total // 8, self._dim))
        else:
            index = Index(self._dim, expected=total)
        report(0, total)
        done = 0
        for keys, blobs in records.vectors(self._fingerprint):
            whole, vectors = whole_vectors(keys, blobs, self._dim)
            for key in set(keys).difference(whole):
                log.error(
                    "the vector of the picture with the key %d is damaged; `python -m app reindex` repairs it", key
                )
            index = index.changed((), whole, vectors)
            done += len(keys)
            report(done, total)
        return index

    def save(self) -> None:
        """Write what is new of the index to its file, if there is an index. What fails is only logged."""
        if self._timeline is None or (self._file_may_fit and self._file_is_latest):
            return
        try:
            with self.view() as view:
                state, index = view.records.state, view.index
            kept = None if index.lists is None else self._kept  # after the index: it may be improved at any time
            manifest = self._file.write(index, self._stamp(state), kept)
            with self._writer, self._catalog.snapshot() as records:
                if records.state == state and kept in (None, self._kept):
                    self._publish(manifest, kept, index)
                else:
                    self._file.discard()
        except (OSError, StorageError) as error:
            then = "takes the older one" if self._file_may_fit else "makes it anew"
            log.warning("the index was not saved, so the next start %s: %s", then, error)

    def _publish(self, manifest: Manifest, kept: Manifest | None, index: Index) -> None:
        self._file_may_fit, self._kept = False, None  # if it fails
        self._file.publish(manifest, kept)
        self._file_may_fit = True
        latest = self._opened().latest
        self._file_is_latest = latest.lists is index.lists
        if index.lists is not None and latest.numbers_rows_as(index):  # without lists, the file goes by keys
            self._kept = manifest

    # Improving the index, beside searches and writers

    def _begin(self) -> Index | None:
        with self._writer:
            if self._timeline is None:
                return None
            before = self._timeline.latest
            self._improving = _Improving(self._timeline, before)
            return before

    def _finish(self, after: Index | None) -> None:
        with self._writer:
            improving, self._improving = self._improving, None
            if improving is None or after is None or improving.timeline is not self._timeline:
                return  # in the last case the index was made anew
            timeline, before = improving.timeline, improving.before
            if not after.numbers_rows_as(before):
                for removed, added in improving.changes:
                    after = after.with_change(removed, added)
                timeline.improve(after)
                self._kept = None
            elif timeline.latest.numbers_rows_as(before):
                timeline.improve(timeline.latest.with_lists(after.lists))
            if after.lists is not before.lists:
                self._file_is_latest = False
            self._upkeep.wake(timeline.latest)

    def _remember(self, query: Vector) -> None:
        self._asked.add(query)
        if self._timeline is not None:
            self._upkeep.wake(self._timeline.latest)

    def wait_for_upkeep(self) -> None:
        """Until the index needs no improvement."""
        self._upkeep.wait()

    def close(self) -> None:
        """Stop improving the index, and write it to its file."""
        self._upkeep.close()
        self.save()


def whole_vectors(keys: Sequence[int], blobs: Sequence[bytes], dim: int) -> tuple[list[int], Vectors]:
    """Those vectors of a batch that are sound: of this size, finite, of unit length; with their keys."""
    sized = [number for number, blob in enumerate(blobs) if len(blob) == 4 * dim]
    vectors = np.frombuffer(b"".join(blobs[number] for number in sized), "<f4").reshape(len(sized), dim)
    with np.errstate(all="ignore"):
        lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))  # (n,)
    sound = np.abs(lengths - 1) < _UNIT_LENGTH  # which NaN is not
    return [keys[number] for number, good in zip(sized, sound, strict=True) if good], vectors[sound].astype(np.float32)
