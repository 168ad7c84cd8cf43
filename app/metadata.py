"""Metadata as users send it: one JSON object a picture, of bounded size and depth."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from app.errors import InvalidRequest

Metadata = dict[str, Any]

MAX_BYTES = 65_536
MAX_DEPTH = 32


def parse_metadata(text: str | None, count: int) -> list[Metadata]:
    """The metadata of `count` pictures, from one JSON object for all, an array with one each, or nothing.

    Raises InvalidRequest with a sentence that names the fault.
    """
    if text is None or not text.strip():
        return [{} for _ in range(count)]
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"The metadata is not valid JSON: {error}.") from None
    if isinstance(value, list):
        if len(value) != count:
            raise InvalidRequest(
                f"The metadata is an array of {len(value)}, but there are {count} files: one each, please."
            )
        return [_checked(item) for item in value]
    return [_checked(value)] * count


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _checked(value: object) -> Metadata:
    if not isinstance(value, dict):
        raise InvalidRequest(
            f'The metadata of a picture is a JSON object, such as {{"place": "Oslo"}}, not {_kind(value)}.'
        )
    if _depth(value) > MAX_DEPTH:
        raise InvalidRequest(f"The metadata is nested more than {MAX_DEPTH} deep.")
    try:
        size = len(json.dumps(value, ensure_ascii=False, allow_nan=False).encode())
    except ValueError:  # 1e999 is read as infinity; "\ud800" is half a character
        raise InvalidRequest("The metadata holds a number or a character that JSON in UTF-8 cannot express.") from None
    if size > MAX_BYTES:
        raise InvalidRequest(f"The metadata of a picture takes {size:,} bytes; the limit is {MAX_BYTES:,}.")
    return value


def _depth(value: object) -> int:
    deepest, layer = 0, [value]
    while layer:
        deepest += 1
        layer = [
            child
            for item in layer
            for child in (item.values() if isinstance(item, dict) else item if isinstance(item, list) else ())
        ]
    return deepest


def _kind(value: object) -> str:
    names = {list: "an array", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
