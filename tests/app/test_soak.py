"""A service that has answered many requests is as it was: no file, no thread and no memory is left behind by them."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.app.pictures import noise
from tests.app.process import running

CLIENTS = 8
PICTURES = 60


def measure(pid: int) -> tuple[int, int, int]:
    """Open files, threads, bytes of memory."""
    process = Path(f"/proc/{pid}")
    pages = int((process / "statm").read_text().split()[1])
    return len(list((process / "fd").iterdir())), len(list((process / "task").iterdir())), 4096 * pages


class Visitor:
    """A client that does a bit of everything, and much of it wrong."""

    def __init__(self, number: int, http: httpx.Client) -> None:
        self._http, self._number = http, number
        self._random = random.Random(number)
        self._doings: list[tuple[int, Callable[[], httpx.Response]]] = [
            (30, lambda: http.get("/v1/search", params={"q": self._word()})),
            (8, lambda: http.post("/v1/search", files={"file": self._picture()})),
            (
                4,
                lambda: http.post("/v1/search", json={"image": {"base64": base64.b64encode(self._picture()).decode()}}),
            ),
            (
                8,
                lambda: http.post(
                    "/v1/search", json={"text": self._word(), "filter": {"n": {"$lt": 30}}, "limit": 100}
                ),
            ),
            (8, lambda: http.get("/v1/images", params={"limit": 20})),
            (6, lambda: http.get(f"/v1/images/{self._name()}")),
            (6, lambda: http.get(f"/v1/images/{self._name()}/content")),
            (6, lambda: http.get(f"/v1/images/{self._name()}/thumbnail")),
            (8, self._put),
            (6, lambda: http.delete(f"/v1/images/{self._name()}")),
            (4, lambda: http.post("/v1/images", files={"file": self._picture()[:100]})),
            (2, lambda: http.post("/v1/search", content=b"{", headers={"Content-Type": "application/json"})),
            (2, lambda: http.get("/v1/nothing")),
            (1, lambda: http.get("/readyz")),
            (1, lambda: http.get("/metrics")),
        ]

    def _word(self) -> str:
        return f"{self._random.choice(['red', 'green', 'blue'])} {self._random.random()}"

    def _picture(self) -> bytes:
        return noise(self._random.randrange(PICTURES), 48)

    def _name(self) -> str:
        return f"v{self._number}-{self._random.randrange(PICTURES)}"

    def _put(self) -> httpx.Response:
        metadata = f'{{"n": {self._random.randrange(60)}}}'
        return self._http.put(
            f"/v1/images/{self._name()}", files={"file": self._picture()}, data={"metadata": metadata}
        )

    def visit(self, requests: int) -> None:
        weights, doings = zip(*self._doings, strict=True)
        for doing in self._random.choices(doings, weights, k=requests):
            assert doing().status_code < 500


@pytest.mark.parametrize(
    ("requests", "slope"),
    [(2_000, 8_000), pytest.param(20_000, 400, marks=pytest.mark.slow)],
    ids=["2,000 requests", "20,000 requests"],
)
def test_after_many_mixed_requests_the_service_is_as_it_was(tmp_path: Path, requests: int, slope: int) -> None:
    """`slope`: bytes a request, after a quarter of them to warm up. The allocator's own noise hides less in few."""
    limits = httpx.Limits(max_connections=CLIENTS, max_keepalive_connections=CLIENTS, keepalive_expiry=600)
    with (
        running(tmp_path) as (service, client),
        ThreadPoolExecutor(CLIENTS) as pool,
        httpx.Client(base_url=client.base_url, timeout=60, trust_env=False, limits=limits) as http,
    ):
        service.wait_for("ready")
        visitors = [Visitor(number, http) for number in range(CLIENTS)]
        rounds = 20
        measured = []
        for _ in range(rounds):
            list(pool.map(lambda visitor: visitor.visit(requests // CLIENTS // rounds), visitors))
            measured.append(measure(service.process.pid))
        files, threads, memory = (np.array(series) for series in zip(*measured[rounds // 4 :], strict=True))
        assert np.ptp(files) <= CLIENTS, files
        assert threads.max() <= threads[0] + 4, threads
        done = np.arange(len(memory)) * (requests / rounds)
        grown, _ = np.polyfit(done, memory, 1)
        assert grown < slope, memory
        print(
            f"files {files.min()}-{files.max()}, threads {threads.min()}-{threads.max()}, {grown:.0f} bytes a request"
        )
