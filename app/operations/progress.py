"""A progress bar on stderr for work that reports how many of how many are done; lines where the log is for programs."""

from __future__ import annotations

import logging
import sys
import time
from types import TracebackType
from typing import Never, Self

from tqdm import tqdm

from app.operations.logs import are_json, fields

log = logging.getLogger("parallax")

_PAUSE = 5.0
"""Seconds between two lines; a log file needs no animation."""


class ProgressBar:
    """Context manager. Called with (done, total); shows nothing while there is nothing to do."""

    def __init__(self, title: str, unit: str = "pictures") -> None:
        self._title, self._unit = title, unit
        self._bar: tqdm[Never] | None = None
        self._last_line = float("-inf")

    def __enter__(self) -> Self:
        return self

    def __call__(self, done: int, total: int) -> None:
        if are_json():
            self._write_line(done, total)
            return
        if self._bar is None:
            if done >= total:
                return
            pause = 0.1 if sys.stderr.isatty() else _PAUSE
            self._bar = tqdm(desc=self._title, unit=f" {self._unit}", total=total, initial=done, mininterval=pause)
        self._bar.update(done - self._bar.n)

    def _write_line(self, done: int, total: int) -> None:
        now = time.monotonic()
        if done < total and now - self._last_line >= _PAUSE:
            self._last_line = now
            log.info("%s: %d of %d %s", self._title, done, total, self._unit, extra=fields(done=done, total=total))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
