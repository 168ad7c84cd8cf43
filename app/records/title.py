"""What a person would call a picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NAMES = ("label", "title", "caption", "filename")


def title_of(metadata: Mapping[str, Any]) -> str:
    """The first of the metadata that is made for people; empty if there is none."""
    named = (metadata.get(name) for name in _NAMES)
    return next((name.strip() for name in named if isinstance(name, str) and name.strip()), "")
