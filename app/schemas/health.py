"""What those who watch over the process are told."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class Progress(BaseModel):
    """How much of something is done."""

    done: int = 0
    total: int = 0


class LiveAnswer(BaseModel):
    """The process runs."""

    status: Literal["alive"] = "alive"


class ReadyAnswer(BaseModel):
    """Whether everything is there, and what is still under way."""

    status: Literal["ready", "starting", "failed"]
    detail: str = Field(description="What is being done now, as a sentence.")
    model: str | None = Field(description="Name of the model, once it is loaded.")
    images: int = Field(description="Pictures in the gallery.")
    index: Progress = Field(description="Of making the pictures searchable.")
    demo: Progress = Field(description="Of adding the demo gallery.")
