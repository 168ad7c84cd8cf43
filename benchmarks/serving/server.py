"""A server in a process of its own: started, waited for, looked at and stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.settings import SHIPPED_MODEL

_STOP_SECONDS = 60
_IDLE = 0.05
"""Of a core; a server that takes less has nothing left to do beside its answers."""


@dataclass(frozen=True, slots=True)
class Server:
    """One that answers."""

    port: int
    pid: int
    start_seconds: float
    """From the start of the process to the first good answer of the address that says so."""

    @property
    def resident_mb(self) -> float:
        """What it keeps in memory, in 10⁶ bytes."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def wait_until_idle(self, seconds: float = 300) -> None:
        """Let it finish what it does beside its answers, such as learning an index; at most so long."""
        end = time.perf_counter() + seconds
        busy = 1.0
        while busy > _IDLE and time.perf_counter() < end:
            before = self._cpu_seconds()
            time.sleep(1)
            busy = self._cpu_seconds() - before

    def _cpu_seconds(self) -> float:
        told = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def running(
    command: Sequence[str | Path],
    *,
    port: int,
    ready: str,
    log: Path,
    environment: Mapping[str, str] | None = None,
    seconds: float = 300,
) -> Iterator[Server]:
    """A server until the block ends. `ready` is the path that is answered with 200 when it is.

    Raises RuntimeError, with the end of its log, if it is not ready within so many seconds.
    """
    with log.open("wb") as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            [str(part) for part in command],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
        )
        try:
            while not _answers(f"http://127.0.0.1:{port}{ready}"):
                if process.poll() is not None or time.perf_counter() - began > seconds:
                    raise RuntimeError(f"{command[0]} is not ready: {log.read_text(errors='replace')[-2000:]}")
                time.sleep(0.01)
            yield Server(port, process.pid, time.perf_counter() - began)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@contextmanager
def parallax(data: Path, *, log: Path, model: Path = SHIPPED_MODEL, python: str = sys.executable) -> Iterator[Server]:
    """Our service on a data folder, with the settings of a first start but for the demo gallery."""
    port = free_port()
    command: list[str | Path] = [
        python,
        "-m",
        "app",
        "serve",
        "--port",
        str(port),
        "--data",
        data,
        "--model",
        model,
        "--no-demo",
    ]
    with running(command, port=port, ready="/readyz", log=log) as server:
        yield server
