"""`search`: find pictures in a running service."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from app.commands.address import add_url, open_client
from app.errors import InvalidRequest
from app.records.json_text import read_json
from app.records.title import title_of
from app.schemas import Result, SearchAnswer


def configure(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("text", nargs="?", metavar="TEXT", help="what the pictures should show")
    what.add_argument("--image", type=Path, metavar="FILE", help="find pictures that look like this one")
    parser.add_argument("--limit", type=int, default=10, metavar="N", help="how many results at most (10)")
    parser.add_argument(
        "--filter", metavar="JSON", help='conditions on the metadata, as in MongoDB: {"year": {"$gte": 2020}}'
    )
    parser.add_argument("--min-relevance", type=_share, metavar="R", help="leave out results of less relevance, 0 to 1")
    parser.add_argument("--json", action="store_true", help="the service's answer as JSON")
    add_url(parser, writes=False)


def run(arguments: argparse.Namespace) -> int:
    if arguments.text is not None and any("\ud800" <= letter <= "\udfff" for letter in arguments.text):
        raise InvalidRequest(f"TEXT is not in UTF-8: {arguments.text!r}.")
    conditions = None if arguments.filter is None else _conditions(arguments.filter)
    picture = None if arguments.image is None else _read(arguments.image)
    with open_client(arguments) as client:
        answer = client.search(
            text=arguments.text,
            picture=picture,
            filter=conditions,
            limit=arguments.limit,
            min_relevance=arguments.min_relevance,
        )
    if arguments.json:
        print(answer.model_dump_json(indent=2))
    elif answer.results:
        print(_table(answer, client.url))
    else:
        whole = arguments.filter is None and arguments.min_relevance is None
        print("The gallery is empty." if whole else "No picture is like that.")
    return 0


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share <= 1:  # NaN is not either
        raise ValueError
    return share


def _conditions(text: str) -> dict[str, Any]:
    try:
        value = read_json(text)
    except ValueError as error:
        raise InvalidRequest(f"--filter: {error}.") from None
    if not isinstance(value, dict):
        raise InvalidRequest('--filter: this is not a JSON object, such as {"place": "Oslo"}.')
    return value


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}.") from error


def _table(answer: SearchAnswer, url: str) -> str:
    rows = [("relevance", "score", "id", "picture", "address")]
    rows += [
        (f"{one.relevance:.2f}", f"{one.score:.3f}", one.id, _name(one), url + one.content_url)
        for one in answer.results
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]) for row in rows
    )


def _name(result: Result) -> str:
    text = title_of(result.metadata) or (json.dumps(result.metadata, ensure_ascii=False) if result.metadata else "")
    # Metadata are whatever somebody stored: a terminal would obey what is in them.
    name = "".join(letter if letter.isprintable() else "�" for letter in text)
    room = max(20, shutil.get_terminal_size().columns // 3)
    return name if len(name) <= room else name[: room - 1] + "…"
