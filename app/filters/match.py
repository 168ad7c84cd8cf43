"""One test of a filter in SQL: whether somewhere along a path of the metadata there is a value like this.

A path is walked as a chain of `json_each` tables, one or two a step, so that no depth of metadata deepens the SQL: the
parser of SQLite bears little nesting. A row of `json_each` is called a node here; it has the columns key, type (null,
true, false, integer, real, text, array, object) and value. Metadata itself is always an object.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from app.filters.sql import TRUE, all_of, any_of, listed, mark, sql
from app.records.record import Condition

_INT64 = range(-(2**63), 2**63)
_PLACE = re.compile("0|[1-9][0-9]{0,8}")

_FEW = 8

Step = str | int
"""A field of an object, or a place in an array."""


@dataclass(frozen=True, slots=True)
class Predicate:
    """What is asked of a value."""

    of_node: Callable[[str], Condition]
    """The condition on a node, by its alias."""
    of_missing: bool = False
    """Whether a field that is not there is a match."""
    in_arrays: bool = True
    """Whether an element of an array is a match as well."""
    cost: int = 1
    """How many conditions this makes, about."""
    needs: Condition = TRUE
    """A cheap condition on the whole of the metadata, without which there is no match."""


def one_of(values: Sequence[Any]) -> Predicate:
    """To be equal to one of these."""
    cost = 1 + sum(len(list(_parts(value))) for value in values if isinstance(value, dict | list))
    missing = any(value is None for value in values)
    return Predicate(lambda node: _is_one_of(node, values), of_missing=missing, cost=cost, needs=_spelled(values))


def compared(operator: str, value: str | float) -> Predicate:
    """To be <, <=, > or >= a value, and of its type."""

    def of_node(node: str) -> Condition:
        seen = f"({node}.type = 'true')" if isinstance(value, bool) else f"{node}.value"
        return sql(f"({node}.type IN {_types(value)} AND {seen} {operator} ", _scalar(value), ")")

    return Predicate(of_node)


def exists() -> Predicate:
    return Predicate(lambda _: TRUE, in_arrays=False)


def is_place(step: str) -> bool:
    """Whether a step of a path may be a place in an array: 0, 1, 2 and so on."""
    return _PLACE.fullmatch(step) is not None


def somewhere(path: Sequence[str], predicate: Predicate) -> Condition:
    """Whether the value at a path, or one of several where it goes through arrays, meets a predicate."""
    found = any_of([_finds(way, predicate) for way in _ways(path)])
    return found if predicate.needs is TRUE else all_of([predicate.needs, found])


def tables_in(condition: Condition) -> int:
    """How many tables SQLite has to plan before it reads the first row."""
    return condition.sql.count("json_each(")  # no value can hold this: values are marks


def _ways(path: Sequence[str]) -> Iterator[tuple[Step, ...]]:
    choices = [(step, int(step)) if number and is_place(step) else (step,) for number, step in enumerate(path)]
    return product(*choices)


# Walking: `CASE` keeps `json_each` from what is no container, which it would call malformed JSON

_OBJECT = "CASE {0}.type WHEN 'object' THEN {0}.value ELSE '{{}}' END"
_ARRAY = "CASE {0}.type WHEN 'array' THEN {0}.value ELSE '[]' END"
_CONTAINER = "CASE WHEN {0}.type IN ('object', 'array') THEN {0}.value ELSE '[]' END"
_OBJECTS = "CASE {0}.type WHEN 'object' THEN '[' || {0}.value || ']' WHEN 'array' THEN {0}.value ELSE '{1}' END"


def _each(container: str, alias: str) -> Condition:
    return Condition(f"json_each({container}) AS {alias}")


def _finds(way: Sequence[Step], predicate: Predicate) -> Condition:
    tables, conditions, node = _chain(way, of_missing=predicate.of_missing)
    meets = [predicate.of_node(node)]
    if predicate.of_missing:
        meets.append(Condition(f"{node}.type IS NULL"))
    if predicate.in_arrays:
        meets.append(_exist([_each(_ARRAY.format(node), "e")], [predicate.of_node("e")]))
    return _exist(tables, [*conditions, any_of(meets)])


def _chain(way: Sequence[Step], *, of_missing: bool) -> tuple[list[Condition], list[Condition], str]:
    """The tables that lead along a way, the conditions that keep to it, and the alias of the node at its end.

    With `of_missing`, the way goes on where a field is not there, by a node whose type is NULL; a place that an array
    does not have is not missed.
    """
    others = "[{}]" if of_missing else "[]"  # what is no container lacks every field, as an empty object does
    tables, conditions, node = [Condition("(SELECT 1)")] if of_missing else [], [], ""
    for number, step in enumerate(way):
        inner = "images.metadata"
        if isinstance(step, int):
            inner = _ARRAY.format(node)
        elif number:
            tables.append(_each(_OBJECTS.format(node, others), f"o{number}"))
            conditions.append(Condition(f"o{number}.type = 'object'"))
            inner = _OBJECT.format(f"o{number}")
        node = f"n{number}"
        table, key_is = _each(inner, node), _key_is(node, step)
        if of_missing and isinstance(step, str):
            tables.append(sql(tables.pop(), " LEFT JOIN ", table, " ON ", key_is))
        else:
            tables.append(table)
            conditions.append(key_is)
    return tables, conditions, node


def _key_is(node: str, step: Step) -> Condition:
    return sql(f"{node}.key = ", mark(step))


def _exist(tables: Sequence[Condition], conditions: Sequence[Condition]) -> Condition:
    # CROSS keeps SQLite from trying other orders, of which there is none
    return sql("EXISTS (SELECT 1 FROM ", listed(tables, " CROSS JOIN "), " WHERE ", listed(conditions, " AND "), ")")


# Comparing


def _is_one_of(node: str, values: Sequence[Any]) -> Condition:
    """Scalars of a type are compared in one go: a list of ten thousand is one look-up."""
    scalars = [value for value in values if not isinstance(value, dict | list)]
    by_types: dict[str, list[Any]] = {}
    for value in scalars:
        by_types.setdefault(_types(value, exactly=True), []).append(value)
    conditions = [_has_type_and_value(node, types, some) for types, some in by_types.items()]
    return any_of([*conditions, *(_is_container(node, value) for value in values if isinstance(value, dict | list))])


def _has_type_and_value(node: str, types: str, values: Sequence[Any]) -> Condition:
    if types in ("('true')", "('false')", "('null')"):
        return Condition(f"{node}.type IN {types}")
    several = ("SELECT value FROM json_each(", mark(json.dumps(values, ensure_ascii=False)), ")")
    among = sql(*several) if len(values) > 1 else _scalar(values[0])
    return sql(f"({node}.type IN {types} AND {node}.value IN (", among, "))")


def _is_container(node: str, value: dict[str, Any] | list[Any]) -> Condition:
    """The same fields or elements, and theirs the same, whatever the order of fields."""
    return all_of([_has_part(node, way, part) for way, part in _parts(value)])


def _has_part(node: str, way: Sequence[Step], part: object) -> Condition:
    tables: list[Condition] = []
    conditions: list[Condition] = []
    for number, step in enumerate(way):
        tables.append(_each(_CONTAINER.format(node), f"p{number}"))
        node = f"p{number}"
        conditions.append(_key_is(node, step))
    if isinstance(part, dict | list):
        kind = "object" if isinstance(part, dict) else "array"
        count = f"(SELECT count(*) FROM json_each({_CONTAINER.format(node)}))"
        conditions += [Condition(f"{node}.type = '{kind}'"), sql(f"{count} = ", mark(len(part)))]
    else:
        conditions.append(_is_one_of(node, [part]))
    return _exist(tables, conditions) if tables else all_of(conditions)


def _parts(value: object, way: tuple[Step, ...] = ()) -> Iterator[tuple[tuple[Step, ...], object]]:
    """A value and all that is in it, with the steps that lead there."""
    yield way, value
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, each in inside:
        yield from _parts(each, (*way, step))


def _spelled(values: Sequence[Any]) -> Condition:
    """A few strings: that one of them stands in the metadata. Most rows can be told from that, without parsing them."""
    if len(values) > _FEW or not all(isinstance(value, str) for value in values):
        return TRUE
    spelled = (json.dumps(value, ensure_ascii=False) for value in values)  # as in the catalog
    return any_of([sql("instr(images.metadata, ", mark(text), ")") for text in spelled])


def _types(value: object, *, exactly: bool = False) -> str:
    """The types of nodes that may be compared with a value."""
    if value is None:
        return "('null')"
    if isinstance(value, bool):
        return f"('{str(value).lower()}')" if exactly else "('true', 'false')"
    return "('text')" if isinstance(value, str) else "('integer', 'real')"


def _scalar(value: Any) -> Condition:
    """A value; a number with a fraction, or a very large one, read by SQLite from the same digits as in metadata and as
    JSON: its ways of reading digits, of which CAST is another, differ in the last bit."""
    if isinstance(value, float) or (isinstance(value, int) and value not in _INT64):
        return sql("json_extract(", mark(f"[{value!r}]"), ", '$[0]')")
    return mark(value)
