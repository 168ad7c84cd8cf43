"""Names of pictures: those that users give, and those made here."""

from __future__ import annotations

import re
import secrets
import time

_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._:@+=-]{0,199}")
_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"

RULE = "1 to 200 of the characters A–Z a–z 0–9 . _ : @ + = - and begins with a letter, a digit or _"


def is_valid(image_id: str) -> bool:
    """Whether a user may give this id; it goes into URLs as it is."""
    return _SAFE.fullmatch(image_id) is not None


def new_id() -> str:
    """A ULID in lower case: 26 characters that sort by time (https://github.com/ulid/spec)."""
    number = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -5, -5))
