"""JSON in a field of a form, in an address or in a body: read strictly, with a sentence about what is wrong."""

from __future__ import annotations

import json
from typing import Any, NoReturn


def read_json(text: str | bytes) -> Any:
    """The value that a JSON text holds. Raises ValueError with a sentence for a person.

    What Python would read, and JSON in UTF-8 cannot express, is refused: NaN, 1e999, half of a surrogate pair.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("this has too much nesting") from None
    except ValueError as error:
        raise ValueError(f"this is not valid JSON: {error}") from None
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        raise ValueError(
            "this holds what JSON in UTF-8 cannot express: a number too large, half of a character, or too much nesting"
        ) from None
    return value


def kind_of(value: object) -> str:
    """What a JSON value is, with its article, for a sentence."""
    names = {dict: "an object", list: "an array", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
