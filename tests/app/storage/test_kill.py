"""The process is killed in the middle of everything, again and again: what it had confirmed is there, and found."""

from __future__ import annotations

import hashlib
import json
import random
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.app.pictures import noise
from tests.app.process import running
from tests.app.storing import assert_sound

WRITERS = 4
Picture = tuple[int, str] | None
"""Seed of the picture and its metadata as JSON; None is a picture that is not there."""


def facts(**metadata: int) -> str:
    return json.dumps(metadata, sort_keys=True)


def sha256(seed: int) -> str:
    return hashlib.sha256(noise(seed)).hexdigest()


@dataclass
class Ledger:
    """What the service has confirmed; of a write that it has not, both outcomes are right. No writer shares an id."""

    possible: dict[str, list[Picture]] = field(default_factory=dict)
    nameless: dict[str, int] = field(default_factory=dict)
    """Uploads without an id that are under way: SHA-256 → seed."""
    touched: set[str] = field(default_factory=set)
    writes: int = 0

    def begin(self, name: str, outcome: Picture) -> None:
        self.possible.setdefault(name, [None]).append(outcome)
        self.touched.add(name)

    def confirm(self, name: str) -> None:
        self.possible[name] = self.possible[name][-1:]
        self.writes += 1

    def compare(self, images: list[dict[str, Any]]) -> None:
        """With everything that is there after a restart; from then on, that is what was confirmed."""
        there = {image["id"]: image for image in images}
        assert len(there) == len(images), "an id is there twice"
        seeds = {sha256(picture[0]): picture[0] for some in self.possible.values() for picture in some if picture}
        seeds |= self.nameless
        for name in there.keys() - self.possible.keys():  # nobody was told the id
            assert there[name]["sha256"] in self.nameless, name
            self.begin(name, (self.nameless[there[name]["sha256"]], facts()))
        for name, pictures in self.possible.items():
            now: Picture = None
            if name in there:
                now = seeds[there[name]["sha256"]], json.dumps(there[name]["metadata"], sort_keys=True)
            assert now in pictures, (name, now, pictures)
            self.possible[name] = [now]
        held = [picture[0] for (picture,) in self.possible.values() if picture]
        assert len(set(held)) == len(held), "a picture is there twice"
        self.nameless.clear()

    def now(self, name: str) -> Picture:
        return self.possible[name][-1]


def write_until_killed(client: httpx.Client, ledger: Ledger, number: int, life: int, done: threading.Semaphore) -> None:
    """Add, replace, change and delete pictures, one after another."""
    chance = random.Random(f"{number} {life}")
    seeds = iter(range((life * WRITERS + number) * 10_000, 10**9))
    try:
        while True:
            mine = [name for name in list(ledger.possible) if name.startswith(f"w{number}-") and ledger.now(name)]
            kind = chance.choice(["put", "upload", "upload many", *(["replace", "patch", "delete"] if mine else [])])
            if kind == "upload many":
                some = [next(seeds) for _ in range(chance.randrange(2, 6))]
                ledger.nameless |= {sha256(seed): seed for seed in some}
                answer = client.post("/v1/images", files=[("file", noise(seed)) for seed in some])
                assert answer.status_code == 201, answer.text
                for image, seed in zip(answer.json()["images"], some, strict=True):
                    ledger.begin(image["id"], (seed, facts()))
                    ledger.confirm(image["id"])
            elif kind == "upload":
                seed = next(seeds)
                name = f"w{number}-{seed}"
                ledger.begin(name, (seed, facts(seed=seed)))
                fields = {"id": name, "metadata": facts(seed=seed)}
                answer = client.post("/v1/images", files={"file": noise(seed)}, data=fields)
                assert answer.status_code == 201, answer.text
                ledger.confirm(name)
            elif kind in ("put", "replace"):
                seed = next(seeds)
                name = chance.choice(mine) if kind == "replace" else f"w{number}-{seed}"
                ledger.begin(name, (seed, facts(put=seed)))
                answer = client.put(
                    f"/v1/images/{name}", files={"file": noise(seed)}, data={"metadata": facts(put=seed)}
                )
                assert answer.status_code in (200, 201), answer.text
                ledger.confirm(name)
            elif kind == "patch":
                name, value = chance.choice(mine), next(seeds)
                picture = ledger.now(name)
                assert picture is not None
                ledger.begin(name, (picture[0], facts(**json.loads(picture[1]) | {"patched": value})))
                answer = client.patch(f"/v1/images/{name}", json={"patched": value})
                assert answer.status_code == 200, answer.text
                ledger.confirm(name)
            else:
                name = chance.choice(mine)
                ledger.begin(name, None)
                assert client.delete(f"/v1/images/{name}").status_code == 204
                ledger.confirm(name)
            done.release()
    except httpx.TransportError:
        return


def everything(client: httpx.Client) -> Iterator[dict[str, Any]]:
    cursor: dict[str, str] = {}
    while True:
        page = client.get("/v1/images", params={"limit": 1000, **cursor}).json()
        yield from page["images"]
        if page["next_cursor"] is None:
            return
        cursor = {"cursor": page["next_cursor"]}


def check(client: httpx.Client, ledger: Ledger, names: set[str]) -> None:
    """These pictures can be read and found."""
    for name in names:
        (picture,) = ledger.possible[name]
        if picture is None:
            assert client.get(f"/v1/images/{name}").status_code == 404
        else:
            assert client.get(f"/v1/images/{name}/content").content == noise(picture[0])
            search = client.post("/v1/search", files={"file": noise(picture[0])}, data={"limit": 1}).json()
            assert search["results"][0]["id"] == name


@pytest.mark.parametrize("kills", [10, pytest.param(100, marks=pytest.mark.slow)])
def test_every_confirmed_write_survives_kill_9(tmp_path: Path, kills: int) -> None:
    chance = random.Random(kills)
    ledger = Ledger()
    for life in range(kills + 1):
        with running(tmp_path) as (service, client), ThreadPoolExecutor(WRITERS) as writers:
            service.wait_for("ready")
            ledger.compare(list(everything(client)))
            check(client, ledger, set(ledger.possible) if life == kills else ledger.touched)
            ledger.touched.clear()
            if life == kills:
                break
            done = threading.Semaphore(0)
            writing = [writers.submit(write_until_killed, client, ledger, n, life, done) for n in range(WRITERS)]
            for _ in range(chance.randrange(2, 25)):
                assert done.acquire(timeout=60)
            moment = time.perf_counter() + chance.random() * 0.03
            while time.perf_counter() < moment:
                pass
            service.process.send_signal(signal.SIGKILL)
            for writer in writing:
                writer.result()
        assert_sound(tmp_path)
    assert ledger.writes > kills * 2
