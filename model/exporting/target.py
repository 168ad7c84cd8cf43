"""Where an export is written."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.durable import write_atomic
from model.errors import ExportError


def prepare(out: Path, marks: tuple[str, ...]) -> None:
    """Make the folder; ExportError if it holds anything but an earlier export, told by the file names `marks`."""
    if out.is_dir() and any(out.iterdir()) and not all((out / mark).is_file() for mark in marks):
        raise ExportError(f"{out} is not empty and not an earlier export; it stays as it is.")
    if out.exists() and not out.is_dir():
        raise ExportError(f"{out} is a file.")
    config = out / "config.json"
    if config.is_file() and b'"parallax"' in config.read_bytes():
        raise ExportError(f"{out} is a model folder of Parallax; an export would write over it.")
    out.mkdir(parents=True, exist_ok=True)


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """An object of JSON for people and programs."""
    write_atomic(path, f"{json.dumps(values, indent=2, ensure_ascii=False)}\n".encode())
