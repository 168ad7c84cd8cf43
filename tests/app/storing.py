"""Stores without a model: any bytes are a picture, and its number says which vector it has."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from app.gallery.store import Added, Candidate, Put, Store
from app.gallery.verify import Findings, verify
from app.index.live import TARGET_RECALL
from app.index.view import Hit
from app.records.record import Entry, Record, Vector
from app.storage.folder import DataFolder

DIM = 8
MODEL = "m0de1"
Picture = tuple[int, dict[str, Any]]
"""Number and metadata."""
Gallery = dict[str, Picture]
"""id → picture: what a store should hold."""


def content(number: int) -> bytes:
    return f"picture {number} ".encode() * (1 + number % 7)


def sha256(number: int) -> str:
    return hashlib.sha256(content(number)).hexdigest()


@cache
def vector(number: int, model: str = MODEL) -> Vector:
    seed = int.from_bytes(hashlib.sha256(f"{model} {number}".encode()).digest()[:4])
    normal = np.random.default_rng(seed).normal(size=DIM).astype(np.float32)
    unit: Vector = normal / np.linalg.norm(normal)
    unit.flags.writeable = False
    return unit


def silent(done: int, total: int) -> None:
    pass


@contextmanager
def opened_store(path: Path, model: str = MODEL, target_recall: float = TARGET_RECALL) -> Iterator[Store]:
    """A store that can be searched."""
    with DataFolder(path) as folder:
        store = Store(folder, dim=DIM, fingerprint=model, target_recall=target_recall)
        try:
            store.index.open(silent)
            yield store
        finally:
            store.close()


def candidate(
    store: Store, number: int, name: str | None = None, metadata: dict[str, Any] | None = None, model: str = MODEL
) -> Candidate:
    """A picture on its way into the store; under an id if one is given."""
    entry = Entry(
        id=name or f"p{number}",
        sha256=sha256(number),
        content_type="image/png",
        bytes=len(content(number)),
        width=3,
        height=2,
        created_at="2026-01-02T03:04:05.678Z",
        metadata=metadata or {},
    )
    staged = store.originals.stage(sha256(number), content(number))
    return Candidate(entry, vector(number, model), b"RIFF\0\0\0\0", staged, named=name is not None)


def add(store: Store, number: int, name: str | None = None, metadata: dict[str, Any] | None = None) -> Record:
    one = candidate(store, number, name, metadata)
    try:
        (outcome,) = store.add([one])
    finally:
        store.originals.discard([one.staged])
    assert isinstance(outcome, Added)
    return outcome.record


def put(store: Store, number: int, name: str, metadata: dict[str, Any] | None = None) -> Put:
    one = candidate(store, number, name, metadata)
    try:
        return store.put(one)
    finally:
        store.originals.discard([one.staged])


@dataclass(frozen=True, slots=True)
class Write:
    """Something that a user does to a gallery."""

    kind: Literal["add", "put", "patch", "delete"]
    id: str
    number: int = 0

    def to(self, store: Store) -> None:
        if self.kind == "add":
            add(store, self.number, self.id, {"number": self.number})
        elif self.kind == "put":
            put(store, self.number, self.id, {"number": self.number})
        elif self.kind == "patch":
            store.update_metadata(self.id, lambda metadata: metadata | {"patched": self.number})
        else:
            store.delete(self.id)

    def on(self, gallery: Gallery) -> Gallery:
        """What there is afterwards."""
        if self.kind == "delete":
            return {name: picture for name, picture in gallery.items() if name != self.id}
        if self.kind == "patch":
            number, metadata = gallery[self.id]
            return gallery | {self.id: (number, metadata | {"patched": self.number})}
        return gallery | {self.id: (self.number, {"number": self.number})}


def nearest(store: Store, query: Vector, limit: int) -> list[Hit]:
    """The pictures nearest to a vector, best first."""
    with store.index.view() as view:
        return view.find(query, limit).hits


def contents(store: Store) -> Gallery:
    """What the store holds, after a look from every side: list, records, originals and search agree."""
    numbers = {sha256(number): number for number in range(100)}
    with store.index.view() as view:
        records = view.records.newest(10_000)
        assert len(records) == view.records.count() == len(view.index)
        assert len({record.id for record in records}) == len(records), "something is there twice"
        for record in records:
            number = numbers[record.sha256]
            assert store.originals.path(record.sha256).read_bytes() == content(number)
            found = view.find(vector(number), len(records)).hits
            assert record.id in [hit.record.id for hit in found if hit.score > 1 - 1e-6]
    return {record.id: (numbers[record.sha256], record.metadata) for record in records}


def files(path: Path) -> set[str]:
    """Names of the originals in a data folder, and of whatever else is where originals are."""
    return {found.name for found in (path / "originals").rglob("*") if found.is_file()}


def findings(path: Path) -> Findings:
    with DataFolder(path) as folder:
        return verify(folder, silent)


def assert_sound(path: Path) -> None:
    assert findings(path).faults == []
