"""The JSON files beside a checkpoint's weights: each value looked at once, with its type, its default and its place."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from model.errors import ForeignCheckpointError


def read_json(path: Path) -> dict[str, Any]:
    """An object of JSON; ForeignCheckpointError if the file holds anything else."""
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ForeignCheckpointError(f"{path} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise ForeignCheckpointError(f"{path} holds a {type(values).__name__}, not an object.")
    return values


class Settings:
    """Named values of one object of a file; `defaults` are those that its own library takes for absent ones.

    What was absent is remembered in `defaulted`, since a person should know what was not said.
    """

    def __init__(self, values: Mapping[str, Any], place: str, defaults: Mapping[str, Any] | None = None) -> None:
        self._values, self._place, self._defaults = values, place, defaults or {}
        self.defaulted: dict[str, Any] = {}

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def get(self, name: str) -> Any:
        """The value, or the library's default for it; ForeignCheckpointError if there is neither."""
        if name in self:
            return self._values[name]
        if name not in self._defaults:
            raise ForeignCheckpointError(f"{self._place} does not say {name}.")
        self.defaulted[name] = self._defaults[name]
        return self._defaults[name]

    def integer(self, name: str) -> int:
        """A whole number."""
        value = self.get(name)
        if type(value) is not int:
            raise self._wrong(name, value, "a whole number")
        return value

    def number(self, name: str) -> float:
        """A number."""
        value = self.get(name)
        if type(value) not in {int, float}:
            raise self._wrong(name, value, "a number")
        return float(value)

    def text(self, name: str) -> str:
        """A string."""
        value = self.get(name)
        if not isinstance(value, str):
            raise self._wrong(name, value, "a string")
        return value

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self.get(name)
        if not isinstance(value, bool):
            raise self._wrong(name, value, "true or false")
        return value

    def side(self, name: str) -> int:
        """The side of a square, given as one number, as two equal ones, or as `height` and `width`."""
        value = self.get(name)
        sides = list(value.values()) if isinstance(value, dict) else value
        if isinstance(sides, list) and sides and all(side == sides[0] for side in sides):
            sides = sides[0]
        if type(sides) is not int:
            raise self._wrong(name, value, "the side of a square")
        return sides

    def colour(self, name: str) -> tuple[float, float, float]:
        """Three numbers."""
        value = self.get(name)
        if (
            not isinstance(value, list | tuple)
            or len(value) != 3
            or any(type(part) not in {int, float} for part in value)
        ):
            raise self._wrong(name, value, "three numbers")
        return (float(value[0]), float(value[1]), float(value[2]))

    def inner(self, name: str, defaults: Mapping[str, Any]) -> "Settings":
        """The object of this name, empty if there is none."""
        value = self._values.get(name)
        if not isinstance(value, dict | None):
            raise self._wrong(name, value, "an object")
        return Settings(value or {}, f"{self._place}, {name}", defaults)

    def keys(self) -> set[str]:
        """The names of the values that are there and not null."""
        return {name for name in self._values if name in self}

    def _wrong(self, name: str, value: object, wanted: str) -> ForeignCheckpointError:
        return ForeignCheckpointError(f"{self._place}: {name} is {json.dumps(value)}, not {wanted}.")


def refused(error: ValidationError, place: str, what: str = "model") -> ForeignCheckpointError:
    """What `place` describes and cannot be had here, in a sentence."""
    faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
    return ForeignCheckpointError(f"{place} describes a {what} that cannot be had here: {faults}.")
