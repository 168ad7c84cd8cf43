"""clip-retrieval's back end over one of our collections, from an environment of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
from pyarrow import parquet

from benchmarks.peer import PINS, interpreter
from benchmarks.serving.collection import Batch
from benchmarks.serving.server import Server, free_port, running
from model.exporting.open_clip import CONFIG, WEIGHTS

INDEX = "pictures"
_SCRIPT = PINS / "clip_retrieval_service.py"


def build(folder: Path, batches: Iterator[Batch]) -> None:
    """Vectors and metadata as `clip-retrieval inference` leaves them, and the index that it makes of them."""
    for name in ("embeddings/img_emb", "embeddings/metadata", "index"):
        (folder / name).mkdir(parents=True)
    for number, batch in enumerate(batches):
        np.save(folder / f"embeddings/img_emb/img_emb_{number:04}.npy", batch.vectors)
        rows = [
            {"id": entry.id, "url": entry.metadata["url"], "caption": entry.metadata["caption"]}
            for entry in batch.entries
        ]
        table = pa.Table.from_pylist(rows)
        parquet.write_table(table, folder / f"embeddings/metadata/metadata_{number:04}.parquet")
    vectors, index = folder / "embeddings", folder / "index"
    command: list[str | Path] = [interpreter("clip_retrieval"), _SCRIPT, "index", vectors, index]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not (folder / "index/image.index").is_file():
        raise RuntimeError(f"clip-retrieval made no index: {done.stderr[-2000:]}")
    (folder / "indices.json").write_text(json.dumps({INDEX: str(folder.resolve() / "index")}), encoding="utf-8")


def kind_of_index(folder: Path) -> str:
    """What it chose for this collection, as FAISS names it."""
    chosen: str = json.loads((folder / "index/image.json").read_text(encoding="utf-8"))["index_key"]
    return chosen


@contextmanager
def serving(folder: Path, model: Path, *, log: Path) -> Iterator[Server]:
    """Its back end, with one of our models or one in open_clip's layout, until the block ends."""
    if (model / CONFIG).exists():
        described = folder / "towers.json"
        described.write_text(json.dumps(json.loads((model / CONFIG).read_bytes())["model_cfg"]), encoding="utf-8")
        loaded: list[str | Path] = [f"open_clip:{described.stem}/{(model / WEIGHTS).resolve()}", described]
    else:
        loaded = [f"parallax:{model.resolve()}"]
    port = free_port()
    command = [interpreter("clip_retrieval"), _SCRIPT, "back", folder / "indices.json", str(port), *loaded]
    environment = {"PYTHONPATH": str(Path.cwd())}
    with running(command, port=port, ready="/indices-list", log=log, environment=environment) as server:
        yield server
