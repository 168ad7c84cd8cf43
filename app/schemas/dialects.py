"""How the APIs that are spoken on some routes say what went wrong."""

from __future__ import annotations

from pydantic import BaseModel, Field


class OpenAIErrorBody(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None = Field(description="Which part of the request is at fault.")
    code: str | None


class OpenAIError(BaseModel):
    """As OpenAI's API says it."""

    error: OpenAIErrorBody


class ClipRetrievalError(BaseModel):
    """As clip-retrieval's back end says it."""

    message: str
