"""Work on the index that no search and no writer waits for: vectors move into a file; lists are learned, take in what
is new, and are measured.

It is done on an index as it was at one moment, by a thread of its own, and handed over when it is complete.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np

from app.index.asked import Asked
from app.index.exact import Index
from app.index.lists import Lists, Stopped, go_on_unless, trained
from app.index.recall import FEWEST_ASKED, measured
from app.index.rows import MappedRows
from app.operations import metrics

_LARGEST_TAIL = 2048
"""Rows that no list covers, which every search compares with."""
_MOST_REMOVED = 0.25
_MUCH_MORE = 1.5
"""Times the rows that the lists were learned from."""
_SOME_MORE = 1.1
"""Times the rows that the recall was measured on."""
_MANY_MORE = 4
"""Times the queries that it was measured with."""
_UNFIT = 4
"""Times as many probes as at first, and the centroids are no longer those of the collection."""
_BATCH = 16_384

log = logging.getLogger("parallax")

Work = Callable[[Index], Index]


class Upkeep:
    """Of one index. `begin` gives it as it is, and `finish` takes what was made of it, or None if nothing was.

    Others add to `asked` meanwhile.
    """

    def __init__(
        self,
        folder: Path,
        target: float,
        *,
        begin: Callable[[], Index | None],
        finish: Callable[[Index | None], None],
        asked: Asked,
    ) -> None:
        self._folder, self._target = folder, target
        self._begin, self._finish, self._asked = begin, finish, asked
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._woken = False
        self._not_worth_it_below = 0
        """Vectors; with fewer it was tried, and exact search is as good."""
        self._no_more_below = 0
        """Rows; with fewer, something went wrong."""

    def wake(self, index: Index) -> None:
        """See to it that what this index needs is done, if it needs anything."""
        if self._due(index) is None or self._stop.is_set():
            return
        with self._lock:
            self._woken = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="index upkeep", daemon=True)
                self._thread.start()

    def wait(self) -> None:
        """Until there is nothing to be done."""
        while (thread := self._thread) is not None:
            thread.join()

    def close(self) -> None:
        """Stop what is being done, which nobody will need."""
        self._stop.set()
        self.wait()

    def _work(self) -> None:
        faiss.omp_set_num_threads(max(1, (os.cpu_count() or 1) // 2))  # of this thread; searches keep the rest
        while self._goes_on():
            before = self._begin()
            try:
                self._improve(before)
            except Exception:
                log.exception("the index could not be improved; it goes on as it is")
                self._no_more_below = int(before.rows[1] * _SOME_MORE) if before is not None else 0

    def _improve(self, before: Index | None) -> None:
        """Do what is due, and hand over what came of it, for which there may be no room."""
        after: Index | None = None
        try:
            if before is not None and (work := self._due(before)) is not None:
                after = work(before)
        except Stopped:
            log.debug("the service ends; the index stays as it is")
        finally:
            self._finish(after)

    def _goes_on(self) -> bool:
        with self._lock:
            going, self._woken = self._woken and not self._stop.is_set(), False
            if not going:
                self._thread = None
        return going

    def _due(self, index: Index) -> Work | None:
        lists = index.lists
        rows, count, _ = index.rows
        if count < self._no_more_below:
            return None
        much_removed = count - len(index) > _MOST_REMOVED * count
        if lists is None:
            if index.is_large and len(index) >= self._not_worth_it_below and self._target < 1:
                return self._learned
            in_file = isinstance(rows, MappedRows)
            return self._in_file if (much_removed if in_file else index.is_large) else None
        unfit = lists.probes > _UNFIT * lists.probes_at_first
        if much_removed or count > _MUCH_MORE * lists.trained_on or unfit:
            return self._learned
        if count - lists.covered > _LARGEST_TAIL:
            return self._taken_in
        return self._measured_again if len(self._asked) >= max(FEWEST_ASKED, _MANY_MORE * lists.measured_with) else None

    def _learned(self, index: Index) -> Index:
        """With new lists, in a file, without what was removed."""
        index = self._in_file(index)
        if not index.is_large:
            return index.with_lists(None)
        rows, count, _ = index.rows
        log.info("the index learns lists for %s vectors", f"{count:,}")
        lists = self._measured(index, trained(rows.vectors[:count], self._stop))
        metrics.INDEX_TRAININGS.inc()
        return index.with_lists(lists)

    def _in_file(self, index: Index) -> Index:
        """Without what was removed."""
        rows, count, valid = index.rows
        if isinstance(rows, MappedRows) and valid is None:
            return index
        copied = MappedRows.in_folder(self._folder, len(index) + len(index) // 8, index.dim)
        chosen = np.arange(count) if valid is None else np.flatnonzero(valid)
        for start in range(0, len(chosen), _BATCH):
            go_on_unless(self._stop)
            batch = chosen[start : start + _BATCH]
            copied.append(rows.keys[batch], rows.vectors[batch])
        return Index.of(copied, len(chosen))

    def _taken_in(self, index: Index) -> Index:
        """With lists that cover every row; measured again if there are many more of them."""
        assert index.lists is not None
        rows, count, _ = index.rows
        lists = index.lists.extended(rows.vectors[index.lists.covered : count], self._stop)
        index = index.with_lists(lists)
        return self._measured_again(index) if lists.covered > _SOME_MORE * lists.measured_on else index

    def _measured_again(self, index: Index) -> Index:
        """With lists that look as far as it takes now: there are more vectors, or more is known of what is asked."""
        assert index.lists is not None
        return index.with_lists(self._measured(index, index.lists))

    def _measured(self, index: Index, lists: Lists) -> Lists | None:
        found = measured(index, lists, self._asked.vectors(), self._target, self._stop)
        index.rows[0].release()
        if found is None:
            self._not_worth_it_below = 2 * len(index)
            log.info("no lists reach a recall of %g in half of the time; every vector is compared", self._target)
        else:
            told = f"{found.recall:.3f} with {found.probes} of {found.count} lists and {found.candidates} candidates"
            log.info("the index is searched by lists: recall %s", told)
        return found
