"""API keys: which ones there are, and what each allows.

Keys are compared by their SHA-256, all of them each time, so that the time of an answer tells nothing about them. A
plain hash is enough: a key is not a password, whoever makes one takes it from a random generator.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from enum import IntEnum

from app.settings import HASHED_KEY, Settings


class Access(IntEnum):
    """What a request may do, or has to be allowed to."""

    NONE = 0
    READ = 1
    WRITE = 2


class Keyring:
    """The keys of a service. False if there are none, which means that nobody is asked for one."""

    def __init__(self, api_keys: Iterable[str] = (), read_keys: Iterable[str] = ()) -> None:
        self._access = {_digest(key): Access.READ for key in read_keys} | {
            _digest(key): Access.WRITE for key in api_keys
        }

    @classmethod
    def of(cls, settings: Settings) -> Keyring:
        return cls(_revealed(settings, write=True), _revealed(settings, write=False))

    def __bool__(self) -> bool:
        return bool(self._access)

    def access(self, key: str) -> Access:
        """What this key allows. In constant time."""
        given, allowed = hashlib.sha256(key.encode()).digest(), Access.NONE
        for known, access in self._access.items():
            if hmac.compare_digest(known, given):
                allowed = access
        return allowed


def own_key(settings: Settings, *, write: bool) -> str | None:
    """A key that these settings hold, for a command that speaks to the service which has the same ones."""
    keys = [*(() if write else _revealed(settings, write=False)), *_revealed(settings, write=True)]
    return next((key for key in keys if not HASHED_KEY.fullmatch(key)), None)


def _revealed(settings: Settings, *, write: bool) -> list[str]:
    return [key.get_secret_value() for key in (settings.api_keys if write else settings.read_keys)]


def _digest(key: str) -> bytes:
    if HASHED_KEY.fullmatch(key):
        return bytes.fromhex(key.partition(":")[2])
    return hashlib.sha256(key.encode()).digest()
