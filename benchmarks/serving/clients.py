"""`python -m benchmarks.serving.clients`: clients that ask again as soon as they are answered, for some seconds.

A process of their own, so that the server's Python does not wait for theirs. They say HTTP/1.1 themselves, in a tenth
of the time that a client library takes: on a small machine they share the cores with the server.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from urllib.parse import quote_plus

import numpy as np

from benchmarks.serving.collection import queries
from benchmarks.serving.server import Server

_WARM_UP_SECONDS = 4.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What one round of asking found."""

    clients: int
    requests: int
    per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


def ask(port: int, api: str, clients: int, seconds: float, *, seed: int, distinct: int = 0) -> Load:
    """One round in a process of its own. Raises RuntimeError if an answer is not as it should be."""
    command = [sys.executable, "-m", "benchmarks.serving.clients", str(port), api, str(clients), str(seconds)]
    command += ["--seed", str(seed), "--distinct", str(distinct)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the clients failed: {done.stderr[-2000:]}")
    return Load(**json.loads(done.stdout))


def warm_up(server: Server, api: str) -> None:
    """Let a server do what it does after its start, and after its first day: ours tunes its index to what is asked."""
    server.wait_until_idle()
    ask(server.port, api, 1, _WARM_UP_SECONDS, seed=10**6)  # no query of a measurement
    server.wait_until_idle()


def _parallax(text: str, port: int) -> bytes:
    return f"GET /v1/search?q={quote_plus(text)} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()


def _clip_retrieval(text: str, port: int) -> bytes:
    # what its own client sends, but for removing duplicates, which would be more work than ours does
    body = {
        "text": text,
        "modality": "image",
        "num_images": RESULTS,
        "num_result_ids": RESULTS,
        "indice_name": "pictures",
    }
    content = json.dumps({**body, "deduplicate": False, "use_safety_model": False, "use_violence_detector": False})
    head = f"POST /knn-service HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    # Its client opens a connection for every search; on one that stays, its server answers 40 ms late (Nagle).
    return f"{head}Connection: close\r\nContent-Length: {len(content)}\r\n\r\n{content}".encode()


RESULTS = 10
"""Of a search, when nobody says how many."""
REQUESTS = {"parallax": _parallax, "clip-retrieval": _clip_retrieval}


class _Asking:
    def __init__(self, port: int, requests: Iterator[bytes], end: float) -> None:
        self._port, self._requests, self._end = port, requests, end
        self.times: list[float] = []

    async def client(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            for request in self._requests:
                began = time.perf_counter()
                if began > self._end:
                    return
                writer.write(request)
                keep = await whole_answer(reader)
                self.times.append(time.perf_counter() - began)
                if not keep:
                    writer.close()
                    reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        finally:
            writer.close()


async def whole_answer(reader: asyncio.StreamReader) -> bool:
    """Whether the connection stays. Raises RuntimeError if it is not 200 with ten results."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if b" 200 " not in head[:13]:
        raise RuntimeError(head.decode(errors="replace"))
    length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
    body = await reader.readexactly(length)
    results = body.count(b'"id"')
    if results != RESULTS:
        raise RuntimeError(f"an answer of {results} results: {body[:500]!r}")
    return b"connection: close" not in head and not head.startswith(b"http/1.0")


async def _load(port: int, requests: Iterator[bytes], clients: int, seconds: float) -> Load:
    warming = _Asking(port, islice(requests, max(8, clients)), time.perf_counter() + 60)
    await asyncio.gather(*(warming.client() for _ in range(clients)))
    began = time.perf_counter()
    asking = _Asking(port, requests, began + seconds)
    await asyncio.gather(*(asking.client() for _ in range(clients)))
    took = time.perf_counter() - began
    p50, p95, p99 = np.percentile(np.array(asking.times) * 1e3, [50, 95, 99]).tolist()
    count = len(asking.times)
    return Load(clients=clients, requests=count, per_second=count / took, p50_ms=p50, p95_ms=p95, p99_ms=p99)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.clients", description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("api", choices=sorted(REQUESTS))
    parser.add_argument("clients", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--seed", type=int, default=0, help="of the queries")
    parser.add_argument("--distinct", type=int, default=0, help="ask so many queries again and again; 0 asks each once")
    asked = parser.parse_args(arguments)

    every = queries(asked.seed)
    texts = every if not asked.distinct else _again(list(islice(every, asked.distinct)))
    requests = (REQUESTS[asked.api](text, asked.port) for text in texts)
    print(json.dumps(asdict(asyncio.run(_load(asked.port, requests, asked.clients, asked.seconds)))))


def _again(texts: Sequence[str]) -> Iterator[str]:
    while True:
        yield from texts


if __name__ == "__main__":
    main()
