"""What goes wrong, as it is answered."""

from __future__ import annotations

from pydantic import BaseModel, Field


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str = Field(description="Names the kind of problem, for programs.")
    title: str
    status: int
    detail: str = Field(description="A sentence for people.")
