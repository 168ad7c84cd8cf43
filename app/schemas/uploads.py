"""Forms that bring pictures. The client does not read this file: it needs the server's framework."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import UploadFile
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator


def _are_files(value: object) -> object:
    if isinstance(value, list) and any(isinstance(each, str) for each in value):
        raise ValueError("this is a text, not a file; a file has a filename (with curl: -F file=@picture.png)")
    return value


def _is_one(value: object) -> object:
    if isinstance(value, list) and len(value) > 1:
        raise ValueError(f"one picture has this id, not {len(value)}")
    return value


Files = Annotated[list[UploadFile] | None, BeforeValidator(_are_files)]
Address = Annotated[str | None, Field(description="Where to fetch a picture instead, if this service is set up to.")]


class _Form(BaseModel):
    """There are no other fields: what somebody misspelt would be lost without a word."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _all_known(cls, fields: Mapping[str, object]) -> Mapping[str, object]:
        if unknown := sorted(fields.keys() - cls.model_fields.keys()):
            raise ValueError(f"there is no field {unknown[0][:100]!r}, only {', '.join(cls.model_fields)}")
        return fields


class UploadForm(_Form):
    """One or more pictures, sent or by their address."""

    file: Files = Field(None, description="One or more pictures.")
    url: Address = None
    metadata: str | None = Field(None, description="A JSON object for all pictures, or an array with one each.")
    id: str | None = Field(None, description="A name for a single picture; made here if left out.")


class PutForm(_Form):
    """One picture, sent or by its address."""

    file: Annotated[Files, BeforeValidator(_is_one)] = Field(None, description="The picture.", max_length=1)
    url: Address = None
    metadata: str | None = Field(None, description="A JSON object; empty if left out.")
