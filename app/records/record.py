"""What is known of a picture, and the vectors that stand for pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
"""(dim,), of unit length."""
Vectors = NDArray[np.float32]
"""(n, dim), each row of unit length."""
Keys = NDArray[np.int64]
"""(n,), of records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is known of a picture before it is in the catalog."""

    id: str
    sha256: str
    content_type: str
    bytes: int
    width: int
    height: int
    created_at: str
    """RFC 3339, UTC."""
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(Entry):
    """A picture in the catalog."""

    key: int
    """Grows with time, stays the same when the picture is replaced, and is never used twice."""

    @property
    def version(self) -> str:
        """Of the bytes. An address with it is never that of others, so a browser may keep what is there for good."""
        return self.sha256[:12]


@dataclass(frozen=True, slots=True)
class Condition:
    """Which records are meant: an SQL expression over the columns of `images`, and the values of its marks."""

    sql: str
    parameters: tuple[object, ...] = ()


EVERY = Condition("TRUE")
