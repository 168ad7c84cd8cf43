"""The service as a process of its own, to be killed."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue

import httpx

ROOT = Path(__file__).parents[2]


class Service:
    """A running process, and what it writes to stderr."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._lines: SimpleQueue[str] = SimpleQueue()
        self._passed: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def end(self) -> None:
        """Kill the process, if it still runs, and read what it wrote last: the pipe is closed only after that."""
        self.process.kill()
        self._reader.join(timeout=60)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._lines.put(line)

    def wait_for(self, word: str) -> str:
        """A line of the log that holds a word: the first one that no call has returned before."""
        while (line := next((line for line in self._passed if word in line), None)) is None:
            self._passed.append(self._lines.get(timeout=60))
        self._passed.remove(line)
        return line


@contextmanager
def running(*arguments: str | Path, module: str = "dummy_service") -> Iterator[tuple[Service, httpx.Client]]:
    """The service with the small encoder, at the moment when it listens, and a client of it."""
    command = [sys.executable, "-m", f"tests.app.{module}", *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        service = Service(process)
        try:
            url = service.wait_for("open http").split()[1]
            with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
                yield service, client
        finally:
            service.end()
