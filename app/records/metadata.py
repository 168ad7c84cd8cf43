"""Metadata as users send and change it: one JSON object a picture, of bounded size and depth."""

from __future__ import annotations

import json
from typing import Any

from app.errors import InvalidRequest
from app.records.json_text import kind_of, read_json

Metadata = dict[str, Any]

MAX_BYTES = 65_536
MAX_DEPTH = 32


def parse_metadata(text: str | None, count: int) -> list[Metadata]:
    """The metadata of `count` pictures, from one JSON object for all, an array with one each, or nothing.

    Raises InvalidRequest with a sentence that names the fault.
    """
    if text is None or not text.strip():
        return [{} for _ in range(count)]
    value = _read("metadata", text)
    if isinstance(value, list):
        if len(value) != count:
            raise InvalidRequest(
                f"The metadata is an array of {len(value)}, but there are {count} files: one each, please."
            )
        return [_checked("metadata of a picture", item) for item in value]
    return [_checked("metadata of a picture", value)] * count


def parse_patch(body: bytes) -> Metadata:
    """A merge patch of metadata: bare, or as a record shows metadata, `{"metadata": {…}}` with nothing beside.

    Raises InvalidRequest.
    """
    value = _read("merge patch", body)
    if isinstance(value, dict) and list(value) == ["metadata"] and isinstance(value["metadata"], dict):
        value = value["metadata"]
    return _checked("merge patch", value)


def patched(metadata: Metadata, patch: Metadata) -> Metadata:
    """The metadata after a JSON merge patch (RFC 7396). Raises InvalidRequest if they become too large or too deep."""
    return _checked("patched metadata", _merged(metadata, patch))


def _merged(target: object, patch: object) -> Any:
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), value)
    return merged


def _read(what: str, text: str | bytes) -> Any:
    try:
        return read_json(text)
    except ValueError as error:
        raise InvalidRequest(f"The {what} cannot be read: {error}.") from None


def _checked(what: str, value: object) -> Metadata:
    if not isinstance(value, dict):
        raise InvalidRequest(f'The {what} is a JSON object, such as {{"place": "Oslo"}}, not {kind_of(value)}.')
    if _depth(value) > MAX_DEPTH:
        raise InvalidRequest(f"The {what} may be nested {MAX_DEPTH} deep at most.")
    size = len(json.dumps(value, ensure_ascii=False).encode())
    if size > MAX_BYTES:
        raise InvalidRequest(f"The {what} takes {size:,} bytes; the limit is {MAX_BYTES:,}.")
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
