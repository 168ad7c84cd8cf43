"""Samples that cannot be used: counted, named in a report, and left out; too many of them end the run."""

import json
from pathlib import Path

from training.data.example import DataError

BAD_SAMPLES = "bad_samples.jsonl"
TOLERATED = 0.05
_AT_LEAST = 1_000
"""Samples over which a share is taken at least: the first sample of a run says nothing about the rest."""


class BadSample(DataError):
    """One sample that cannot be used, and why."""

    def __init__(self, key: str, source: str, reason: str) -> None:
        super().__init__(f"{source}, sample {key}: {reason}")
        self.key, self.source, self.reason = key, source, reason

    def __reduce__(self) -> tuple[type["BadSample"], tuple[str, str, str]]:
        return BadSample, (self.key, self.source, self.reason)  # it travels between processes


class TooManyBad(DataError):
    """So much of the data cannot be used that it is hardly the data that was meant."""


class BadSamples:
    """The report of a run: one line of JSON (key, source, reason) for each bad sample, however often it is met."""

    def __init__(self, path: Path | None = None, tolerated: float = TOLERATED) -> None:
        """Without a `path`, they are counted and no report is written; lines that a file has already are kept."""
        self._path, self._tolerated = path, tolerated
        self._known: set[tuple[str, str]] = set()
        if path and path.exists():
            for line in path.read_text("utf-8").splitlines():
                try:
                    known = json.loads(line)
                    self._known.add((known["source"], known["key"]))
                except (ValueError, KeyError):
                    continue  # a line that a kill cut off
        self.bad = 0
        self.tried = 0
        self.last = ""

    def good(self, count: int = 1) -> None:
        """So many samples could be used."""
        self.tried += count

    def add(self, sample: BadSample, *, was_good: bool = False) -> None:
        """One could not, though it may have been taken for good. Raises TooManyBad where that makes too many."""
        self.tried += not was_good
        self.bad += 1
        self.last = str(sample)
        place = (sample.source, sample.key)
        if place not in self._known:
            self._known.add(place)
            if self._path:
                record = {"key": sample.key, "source": sample.source, "reason": sample.reason}
                line = json.dumps(record, ensure_ascii=False) + "\n"
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with self._path.open("ab") as file:  # one write, so that lines of several processes do not mix
                    file.write(line.encode("utf-8", errors="backslashreplace"))
        self._check(max(self.tried, _AT_LEAST))

    def finish(self) -> None:
        """All samples of a data set were tried. Raises TooManyBad; `summary` has something to say where any was bad."""
        self._check(self.tried)

    @property
    def summary(self) -> str:
        """A sentence for a person, empty where nothing was bad."""
        if not self.bad:
            return ""
        where = f"; {self._path} names them" if self._path else ""
        return f"{self.bad:,} of {self.tried:,} samples cannot be used and are left out{where}. The last: {self.last}"

    def _check(self, of: int) -> None:
        if self.bad > self._tolerated * of:
            raise TooManyBad(
                f"{self.bad:,} of {self.tried:,} samples cannot be used, more than the tolerated share of "
                f"{self._tolerated:g} (data.bad_share){f'; {self._path} names them' if self._path else ''}. "
                f"The last: {self.last}"
            )
