"""The grammar of filters: every fault is named with its place."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from app.errors import InvalidFilter
from app.filters import match
from app.filters.logic import Test, Tree, condition_of, junction, opposite
from app.filters.match import Predicate
from app.records.json_text import kind_of, read_json
from app.records.record import EVERY, Condition

MAX_CONDITIONS = 128
MAX_TABLES = 1_500
"""One or two for each step of a path, on each of the ways to go. SQLite plans so many in less than 0.1 s; nothing can
interrupt it meanwhile."""
MAX_VALUES = 10_000
MAX_DEPTH = 8
MAX_STEPS = 16
MAX_NUMBERS = 2
"""Steps of a path that are numbers. Each may name a field or a place in an array, which doubles the ways to go."""

_COMPARISONS = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}
_OPERATORS = ("$eq", "$ne", *_COMPARISONS, "$in", "$nin", "$exists", "$not")


def read_filter(text: str | None) -> Condition:
    """A filter in an address or a form, as JSON. Raises InvalidFilter."""
    if text is None:
        return EVERY
    try:
        value = read_json(text)
    except ValueError as error:
        raise InvalidFilter(f"filter: {error}.") from None
    return parse_filter(value)


def parse_filter(value: object) -> Condition:
    """The condition on records that a filter states; None states none. Raises InvalidFilter with place and reason."""
    return EVERY if value is None else condition_of(_Parser().filter(value, "filter", 1))


class _Parser:
    """Goes through one filter, and counts what it costs."""

    def __init__(self) -> None:
        self._conditions = self._tables = self._values = 0

    def filter(self, value: object, place: str, depth: int) -> Tree:
        """All members of an object: `$and` and the like, or fields."""
        fields = _object(value, place)
        if depth > MAX_DEPTH:
            _refuse(place, f"filters may stand in each other {MAX_DEPTH} deep at most")
        parts: list[Tree] = []
        for name, operand in fields.items():
            at = f"{place}.{name}"
            if name in ("$and", "$or", "$nor"):
                inner = [self.filter(each, f"{at}.{n}", depth + 1) for n, each in enumerate(_array(operand, at))]
                if not inner:
                    _refuse(at, "this array must not be empty")
                joined = junction(inner, of_all=name == "$and")
                parts.append(opposite(joined) if name == "$nor" else joined)
            elif name == "$not":
                parts.append(opposite(self.filter(operand, at, depth + 1)))
            elif name.startswith("$"):
                _refuse(at, "this is no operator; here may stand $and, $or, $nor, $not, or the name of a field")
            else:
                parts.append(self._field(_path(name, at), operand, at, depth + 1))
        return junction(parts, of_all=True)

    def _field(self, path: Sequence[str], operand: object, place: str, depth: int) -> Tree:
        """`{field: value}` or `{field: {operator: …}}`."""
        if not isinstance(operand, dict) or not any(name.startswith("$") for name in operand):
            return self._test(path, match.one_of([self._literal(operand, place)]))
        if depth > MAX_DEPTH:
            _refuse(place, f"filters may stand in each other {MAX_DEPTH} deep at most")
        parts = [self._operator(path, name, value, f"{place}.{name}", depth) for name, value in operand.items()]
        return junction(parts, of_all=True)

    def _operator(self, path: Sequence[str], name: str, operand: object, place: str, depth: int) -> Tree:
        if name in ("$eq", "$ne"):
            found = self._test(path, match.one_of([self._literal(operand, place)]))
        elif name in ("$in", "$nin"):
            values = [self._literal(each, f"{place}.{n}") for n, each in enumerate(_array(operand, place))]
            found = self._test(path, match.one_of(values))
        elif name in _COMPARISONS:
            if isinstance(operand, dict | list) or operand is None:
                _refuse(place, f"{name} compares with a number, a string, true or false, not with {kind_of(operand)}")
            found = self._test(path, match.compared(_COMPARISONS[name], self._literal(operand, place)))
        elif name == "$exists":
            if not isinstance(operand, bool):
                _refuse(place, f"this has to be true or false, not {kind_of(operand)}")
            found = self._test(path, match.exists())
        elif name == "$not":
            if not isinstance(operand, dict) or not any(each.startswith("$") for each in operand):
                _refuse(
                    place, 'this has to hold operators, such as {"$gte": 2020}; what is not equal is {"$ne": value}'
                )
            found = self._field(path, operand, place, depth + 1)
        else:
            _refuse(place, f"this is no operator; here may stand {', '.join(_OPERATORS)}")
        negates = name in ("$ne", "$nin", "$not") or (name == "$exists" and operand is False)
        return opposite(found) if negates else found

    def _test(self, path: Sequence[str], predicate: Predicate) -> Tree:
        self._conditions += predicate.cost
        if self._conditions > MAX_CONDITIONS:
            _refuse("filter", f"more than {MAX_CONDITIONS} conditions")
        condition = match.somewhere(path, predicate)
        self._tables += match.tables_in(condition)
        if self._tables > MAX_TABLES:
            _refuse("filter", f"its paths and values take more than {MAX_TABLES:,} steps through metadata")
        return Test(condition)

    def _literal(self, value: object, place: str, depth: int = 1) -> Any:
        """A value to compare with, as it is. Refuses what SQLite cannot hold, and counts what is in it."""
        self._values += 1
        if self._values > MAX_VALUES:
            _refuse("filter", f"there are more than {MAX_VALUES:,} values")
        if depth > MAX_DEPTH:
            _refuse(place, f"values may stand in each other {MAX_DEPTH} deep at most")
        match value:
            case str():
                _check_text(value, place)
            case float() if not math.isfinite(value):
                _refuse(place, "this number is not finite")
            case dict():
                for name, each in value.items():
                    _check_text(name, place)
                    self._literal(each, f"{place}.{name}", depth + 1)
            case list():
                for number, each in enumerate(value):
                    self._literal(each, f"{place}.{number}", depth + 1)
        return value


def _object(value: object, place: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        _refuse(place, f"this has to be an object, not {kind_of(value)}")
    return value


def _array(value: object, place: str) -> Sequence[object]:
    if not isinstance(value, list):
        _refuse(place, f"this has to be an array, not {kind_of(value)}")
    return value


def _path(name: str, place: str) -> Sequence[str]:
    _check_text(name, place)
    steps = name.split(".")
    if len(steps) > MAX_STEPS:
        _refuse(place, f"a path has {MAX_STEPS} steps at most")
    if sum(match.is_place(step) for step in steps[1:]) > MAX_NUMBERS:
        _refuse(place, f"a path has {MAX_NUMBERS} numbers at most")
    return steps


def _check_text(text: str, place: str) -> None:
    if any("\ud800" <= character <= "\udfff" for character in text):
        _refuse(place, "this text holds half of a character")
    if "\0" in text:
        _refuse(place, "this text holds the character U+0000, at which the catalog ends a text")


def _refuse(place: str, fault: str) -> NoReturn:
    shown = place if len(place) <= 200 else f"{place[:200]}…"
    raise InvalidFilter(f"{shown}: {fault}.")
