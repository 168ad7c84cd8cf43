"""Answers that may be large: made and written in the threads of a door, for the event loop serves every request."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fastapi import Response
from pydantic import BaseModel
from pydantic_core import to_json

from app.admission.door import Door


async def answered(door: Door, make: Callable[[], BaseModel]) -> Response:
    """What `make` makes, as JSON. Raises what `door.run` raises."""
    content = await door.run(lambda: b"".join(in_pieces(make())))
    return Response(content, media_type="application/json")


def in_pieces(answer: BaseModel) -> Iterator[bytes]:
    """The JSON of an answer, each item of its lists apart: while pydantic writes a piece, no other thread runs."""
    between = b"{"
    for name, value in answer:
        yield between + to_json(name) + b":"
        if isinstance(value, list):
            yield from _items(value)
        else:
            yield to_json(value)
        between = b","
    yield b"}"


def _items(values: list[object]) -> Iterator[bytes]:
    yield b"["
    for place, value in enumerate(values):
        yield b"," if place else b""
        yield to_json(value)
    yield b"]"
