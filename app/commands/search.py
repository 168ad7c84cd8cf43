"""`search`: find pictures in a running service."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from app.client import Client
from app.commands.address import add_url
from app.errors import InvalidRequest
from app.schemas import Result, SearchAnswer


def configure(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("text", nargs="?", metavar="TEXT", help="what the pictures should show")
    what.add_argument("--image", type=Path, metavar="FILE", help="find pictures that look like this one")
    parser.add_argument("--limit", type=int, default=10, metavar="N", help="how many results at most (10)")
    parser.add_argument("--json", action="store_true", help="the service's answer as JSON")
    add_url(parser)


def run(arguments: argparse.Namespace) -> int:
    with Client(arguments.url) as client:
        if arguments.image is None:
            answer = client.search_text(arguments.text, arguments.limit)
        else:
            answer = client.search_picture(_read(arguments.image), arguments.limit)
        print(answer.model_dump_json(indent=2) if arguments.json else _table(answer, client.url))
    return 0


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}.") from error


def _table(answer: SearchAnswer, url: str) -> str:
    if not answer.results:
        return "The gallery is empty."
    rows = [("score", "id", "picture", "address")]
    rows += [(f"{one.score:.3f}", one.id, _name(one), url + one.content_url) for one in answer.results]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]) for row in rows
    )


def _name(result: Result) -> str:
    """What a person would call the picture."""
    known = [result.metadata[name] for name in ("label", "title", "caption", "filename") if name in result.metadata]
    name = str(known[0]) if known else json.dumps(result.metadata, ensure_ascii=False) if result.metadata else ""
    room = max(20, shutil.get_terminal_size().columns // 3)
    return name if len(name) <= room else name[: room - 1] + "…"
