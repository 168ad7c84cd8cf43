"""A progress bar on stderr for work that reports how many of how many are done."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Never, Self

from tqdm import tqdm


class ProgressBar:
    """Context manager. Called with (done, total); shows nothing while there is nothing to do."""

    def __init__(self, title: str, unit: str = "pictures") -> None:
        self._title, self._unit = title, unit
        self._bar: tqdm[Never] | None = None

    def __enter__(self) -> Self:
        return self

    def __call__(self, done: int, total: int) -> None:
        if self._bar is None:
            if done >= total:
                return
            pause = 0.1 if sys.stderr.isatty() else 5.0  # a log file needs no animation
            self._bar = tqdm(desc=self._title, unit=f" {self._unit}", total=total, initial=done, mininterval=pause)
        self._bar.update(done - self._bar.n)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
