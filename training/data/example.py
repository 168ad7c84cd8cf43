"""One captioned picture, and the error of data that cannot be used."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from model.errors import ParallaxError


class DataError(ParallaxError):
    """A data set holds nothing that can be used, or is not what it was taken for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One captioned picture: pictures of the same `concept` are positives of each other's captions."""

    picture: bytes
    label: str
    captions: tuple[str, ...] = ()
    """Further ones, each as good as the label."""
    tags: tuple[str, ...]
    concept: str
    style: str
    labels: Mapping[str, str] = field(default_factory=dict)
    """The label in other languages, by their codes."""
    keywords: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The tags in other languages, by their codes."""
