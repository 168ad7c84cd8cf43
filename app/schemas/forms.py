"""What is particular to the fields of a form: they are texts, some with JSON in them, or files."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from app.records.json_text import read_json


def _from_json(value: object) -> object:
    return read_json(value) if isinstance(value, str) else value


def _is_file(value: object) -> object:
    if isinstance(value, str):
        raise ValueError("this is a text, not a file; a file has a filename")
    return value


FromJson = BeforeValidator(_from_json)
"""A field that holds JSON."""

File = Annotated[Any, AfterValidator(_is_file), WithJsonSchema({"type": "string", "format": "binary"})]
"""A `starlette.datastructures.UploadFile`."""
