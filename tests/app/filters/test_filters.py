"""A filter finds what MongoDB would find. What is no filter is refused, and told where it goes wrong."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from app.admission.claim import Claim
from app.errors import InvalidFilter, TooLate
from app.filters import parse_filter, read_filter
from app.filters.parse import MAX_DEPTH
from app.records.record import EVERY, Condition
from tests.app.storing import candidate, opened_store

Json = Any
MISSING = object()


def found_by(condition: Json, documents: list[Json]) -> list[int]:
    """The places of the documents that the SQL of a filter selects."""
    parsed = parse_filter(condition)
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE images (key INTEGER PRIMARY KEY, metadata TEXT NOT NULL)")
    rows = [(place, json.dumps(document, ensure_ascii=False)) for place, document in enumerate(documents)]
    connection.executemany("INSERT INTO images VALUES (?, ?)", rows)
    query = f"SELECT key FROM images WHERE {parsed.sql} ORDER BY key"
    places = [key for (key,) in connection.execute(query, parsed.parameters)]
    connection.close()
    return places


# The reference: as one would say it, without regard to speed


def reached(value: Json, steps: list[str]) -> list[Json]:
    """Everything at the end of a path; MISSING where an object, or something that is none, lacks the next field."""
    if not steps:
        return [value]
    if not isinstance(value, dict | list):
        return [MISSING]
    step, *rest = steps
    found = []
    for each in [value] if isinstance(value, dict) else value:
        if isinstance(each, dict):
            found += reached(each[step], rest) if step in each else [MISSING]
    if isinstance(value, list) and step.isdigit() and int(step) < len(value):
        found += reached(value[int(step)], rest)
    return found


def kind(value: Json) -> str:
    return "number" if type(value) in (int, float) else type(value).__name__


def same(one: Json, other: Json) -> bool:
    if kind(one) != kind(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def some(document: Json, path: str, is_match: Any) -> bool:
    values = [value for value in reached(document, path.split(".")) if value is not MISSING]
    return any(is_match(value) or (isinstance(value, list) and any(map(is_match, value))) for value in values)


def equals(document: Json, path: str, operand: Json) -> bool:
    missing = operand is None and MISSING in reached(document, path.split("."))
    return missing or some(document, path, lambda value: same(value, operand))


COMPARED = {
    "$gt": lambda value, operand: value > operand,
    "$gte": lambda value, operand: value >= operand,
    "$lt": lambda value, operand: value < operand,
    "$lte": lambda value, operand: value <= operand,
}


def operator_holds(document: Json, path: str, name: str, operand: Json) -> bool:
    match name:
        case "$eq":
            return equals(document, path, operand)
        case "$ne":
            return not equals(document, path, operand)
        case "$in":
            return any(equals(document, path, each) for each in operand)
        case "$nin":
            return not any(equals(document, path, each) for each in operand)
        case "$exists":
            return any(value is not MISSING for value in reached(document, path.split("."))) == operand
        case "$not":
            return not all(operator_holds(document, path, *each) for each in operand.items())
    compared = COMPARED[name]
    return some(document, path, lambda value: kind(value) == kind(operand) and compared(value, operand))


def holds(document: Json, condition: Json) -> bool:
    for name, operand in condition.items():
        match name:
            case "$and":
                held = all(holds(document, each) for each in operand)
            case "$or":
                held = any(holds(document, each) for each in operand)
            case "$nor":
                held = not any(holds(document, each) for each in operand)
            case "$not":
                held = not holds(document, operand)
            case _ if isinstance(operand, dict) and any(each.startswith("$") for each in operand):
                held = all(operator_holds(document, name, *each) for each in operand.items())
            case _:
                held = equals(document, name, operand)
        if not held:
            return False
    return True


# Few values and few names, so that filters often meet what they look for

TEXTS = st.sampled_from(["", "x", "y", "xy", "é", "🍎", 'a"b', "a\\b", "a\nb", "o'x", "1", "%"])
NUMBERS = st.sampled_from([0, 1, 2, -1, 1.0, 1.5, -0.0, 0.1, 1e300, 2**53 + 1, 2**63, -(2**70), 10**400])
SCALARS = st.none() | st.booleans() | TEXTS | NUMBERS
NAMES = st.sampled_from(["a", "b", "0", "1", "é", 'q"'])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=6
)
DOCUMENTS = st.dictionaries(NAMES, VALUES, max_size=4)
PATHS = st.lists(NAMES, min_size=1, max_size=3).filter(lambda steps: sum(step.isdigit() for step in steps) < 3)
OPERATORS = st.one_of(
    st.tuples(st.sampled_from(["$eq", "$ne"]), VALUES),
    st.tuples(st.sampled_from(["$in", "$nin"]), st.lists(VALUES, max_size=4)),
    st.tuples(st.sampled_from(sorted(COMPARED)), st.booleans() | TEXTS | NUMBERS),
    st.tuples(st.just("$exists"), st.booleans()),
)
TESTS = st.lists(OPERATORS, min_size=1, max_size=2).map(dict)
FIELDS = st.dictionaries(
    PATHS.map(".".join), VALUES | TESTS | TESTS.map(lambda test: {"$not": test}), min_size=1, max_size=2
)
FILTERS = st.recursive(
    FIELDS,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["$and", "$or", "$nor"]), st.lists(inner, min_size=1, max_size=3)).map(
            lambda pair: dict([pair])
        ),
        inner.map(lambda one: {"$not": one}),
    ),
    max_leaves=4,
)


@hypothesis_settings(max_examples=250, deadline=None)
@given(condition=FILTERS, documents=st.lists(DOCUMENTS, min_size=1, max_size=8))
def test_a_filter_finds_what_the_naive_reading_finds(condition: Json, documents: list[Json]) -> None:
    assert found_by(condition, documents) == [
        place for place, document in enumerate(documents) if holds(document, condition)
    ]


@example(number=1.3870531195625819e-300, text="")
@hypothesis_settings(max_examples=150, deadline=None)
@given(
    number=st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**80), 2**80),
    text=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20),
)
def test_every_number_and_every_text_is_equal_to_itself(number: float, text: str) -> None:
    document = {"number": number, "text": text}
    assert found_by(document, [document]) == [0]
    within = {"number": {"$gte": number, "$lte": number}, "text": {"$gte": text, "$lte": text}}
    assert found_by(within, [document]) == [0]
    assert found_by({"$or": [{"number": {"$gt": number}}, {"text": {"$lt": text}}]}, [document]) == []


# What MongoDB's manual says, case by case

PEOPLE = [
    {"name": "Ada", "born": 1815, "tags": ["maths", "engine"], "place": {"country": "UK", "city": "London"}},
    {"name": "Emmy", "born": 1882, "tags": ["maths"], "place": {"country": "DE"}, "retired": None},
    {"name": "Grace", "born": 1906, "tags": [], "jobs": [{"at": "Yale", "since": 1934}, {"at": "Navy", "since": 1943}]},
    {"name": "Alan", "born": "1912", "alive": False},
]


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        ({}, "Ada Emmy Grace Alan"),
        ({"name": "Ada"}, "Ada"),
        ({"tags": "maths"}, "Ada Emmy"),
        ({"tags": ["maths"]}, "Emmy"),
        ({"tags.1": "engine"}, "Ada"),
        ({"place.country": "UK"}, "Ada"),
        ({"place": {"city": "London", "country": "UK"}}, "Ada"),
        ({"place": {"country": "UK"}}, ""),
        ({"jobs.at": "Navy"}, "Grace"),
        ({"jobs.1.since": {"$gt": 1940}}, "Grace"),
        ({"jobs": {"at": "Yale", "since": 1934}}, "Grace"),
        ({"born": {"$gte": 1882}}, "Emmy Grace"),
        ({"born": {"$gt": 1815, "$lt": 1900}}, "Emmy"),
        ({"born": {"$lt": "2"}}, "Alan"),
        ({"name": {"$in": ["Alan", "Grace", 7]}}, "Grace Alan"),
        ({"name": {"$nin": ["Alan", "Grace"]}}, "Ada Emmy"),
        ({"tags": {"$ne": "engine"}}, "Emmy Grace Alan"),
        ({"retired": None}, "Ada Emmy Grace Alan"),
        ({"retired": {"$exists": True}}, "Emmy"),
        ({"place": {"$exists": False}}, "Grace Alan"),
        ({"place.city": None}, "Emmy Grace Alan"),
        ({"alive": False}, "Alan"),
        ({"alive": {"$lt": True}}, "Alan"),
        ({"alive": 0}, ""),
        ({"$or": [{"name": "Ada"}, {"born": 1906}]}, "Ada Grace"),
        ({"$nor": [{"name": "Ada"}, {"born": 1906}]}, "Emmy Alan"),
        ({"$and": [{"tags": "maths"}, {"tags": "engine"}]}, "Ada"),
        ({"$not": {"tags": "maths"}}, "Grace Alan"),
        ({"born": {"$not": {"$gte": 1882}}}, "Ada Alan"),
        ({"tags": "maths", "born": {"$gt": 1850}}, "Emmy"),
    ],
    ids=json.dumps,
)
def test_what_the_manual_says(condition: Json, names: str) -> None:
    assert [PEOPLE[place]["name"] for place in found_by(condition, PEOPLE)] == names.split()


LONG = ".".join(["a", "0", "0", *"bcdefghijklmn"])
"""As many steps and numbers as a path may have."""


@pytest.mark.parametrize(
    ("condition", "place", "word"),
    [
        ([], "filter", "an object, not an array"),
        ("album", "filter", "not a string"),
        ({"$gte": 5}, "filter.$gte", "the name of a field"),
        ({"year": {"$gte": None}}, "filter.year.$gte", "not with null"),
        ({"year": {"$gt": [1]}}, "filter.year.$gt", "not with an array"),
        ({"year": {"$regex": "x"}}, "filter.year.$regex", "$exists"),
        ({"year": {"$gte": 5, "lte": 6}}, "filter.year.lte", "no operator"),
        ({"year": {"$in": 5}}, "filter.year.$in", "an array, not a number"),
        ({"year": {"$exists": 1}}, "filter.year.$exists", "true or false"),
        ({"year": {"$not": 5}}, "filter.year.$not", "$ne"),
        ({"$or": {}}, "filter.$or", "an array, not an object"),
        ({"$or": []}, "filter.$or", "empty"),
        ({"$and": [{"a": 1}, {"b": {"$in": {}}}]}, "filter.$and.1.b.$in", "an array"),
        ({"$not": [1]}, "filter.$not", "an object"),
        ({"year": float("inf")}, "filter.year", "finite"),
        ({"year": {"$in": [1, {"a": [float("nan")]}]}}, "filter.year.$in.1.a.0", "finite"),
        ({"name": "\ud800"}, "filter.name", "character"),
        ({"\udfff": 1}, "filter", "character"),
        ({"name": {"a": {"\ud800": 1}}}, "filter.name.a", "character"),
        ({"name": {"$in": ["x", "x\0y"]}}, "filter.name.$in.1", "U+0000"),
        ({"a\0b": 1}, "filter", "U+0000"),
        ({".".join("x" * 17): 1}, "filter.x.x", "16 steps"),
        ({"a.0.1.2": 1}, "filter.a.0.1.2", "2 numbers"),
        ({"a": {"$in": list(range(10_001))}}, "filter", "10,000 values"),
        ({f"f{n}": n for n in range(129)}, "filter", "128 conditions"),
        ({"$and": [{LONG: None} for _ in range(40)]}, "filter", "1,500 steps"),
        ({"$or": [{"a.b.c.d.e.f.g.h": n} for n in range(128)]}, "filter", "1,500 steps"),
        ({LONG: [[[[list(range(100))]]]]}, "filter", "1,500 steps"),
    ],
    ids=lambda value: str(value)[:30].encode("ascii", "replace").decode(),
)
def test_what_is_no_filter_is_told_where_it_goes_wrong(condition: Json, place: str, word: str) -> None:
    with pytest.raises(InvalidFilter) as raised:
        parse_filter(condition)
    assert str(raised.value).startswith(place)
    assert word in str(raised.value)


@pytest.mark.parametrize(
    "text", ["", "{", "{'a': 1}", '{"a": NaN}', '{"a": "\\ud800"}', '{"a":' * 5000 + "1" + "}" * 5000]
)
def test_what_is_no_json_is_no_filter(text: str) -> None:
    with pytest.raises(InvalidFilter, match="filter: "):
        read_filter(text)


def test_no_filter_leaves_everything() -> None:
    assert read_filter(None) == parse_filter(None) == parse_filter({}) == EVERY


DEEP = {"a.0.b.c": {"$not": {"$in": [1, "x", None, {"b": [[[{"c": 1}]]]}], "$exists": True}}}


def nested() -> Iterator[Json]:
    """Filters at the limits."""
    chain: Json = DEEP
    for _ in range(MAX_DEPTH - 4):
        chain = {"y": 1, "$or": [{"b": 1}, chain]}
    yield chain
    bushy: Json = {"a": {"$not": {"$ne": None}}}
    for level in range(MAX_DEPTH - 4):
        bushy = {"$nor": [bushy, {"b": 1}, bushy]} if level % 2 else {"y": 1, "$or": [bushy, {"b": 2}, bushy]}
    yield bushy
    value: Json = [{"x": 1}]
    for _ in range(MAX_DEPTH - 3):
        value = [value]
    yield {"a": value}
    yield {".".join(["a", "0", "b", "1", *"cdefghijklmn"]): {"$in": [None, 1, "x", True, {"a": [1]}]}}
    yield {f"f{n}": n for n in range(128)}
    yield {"$or": [{"a.b.c": None} for _ in range(128)]}
    yield {"$or": [{"a.0.b": n} for n in range(128)]}
    yield {"$and": [{LONG: None} for _ in range(12)]}
    yield {"a": {"$in": [f"t{n}" for n in range(5000)] + list(range(4999))}}
    yield {"a": [{"x": list(range(60))}, {"y": list(range(60))}]}


@pytest.mark.parametrize("condition", list(nested()), ids=lambda value: str(value)[:30])
def test_filters_at_the_limits_are_carried_out(condition: Json) -> None:
    documents = [{}, {"a": 1}, {"a": {"b": [1, {"c": None}]}}, condition]
    assert found_by(condition, documents) == [
        place for place, document in enumerate(documents) if holds(document, condition)
    ]


def test_a_filter_for_what_is_missing_grows_as_its_path_does() -> None:
    short, long = (parse_filter({".".join("a" * steps): None}) for steps in (8, 16))
    assert len(long.sql) < 2.2 * len(short.sql)
    assert len(long.parameters) == 2 * len(short.parameters)


def test_a_filter_that_nobody_waits_for_any_more_is_given_up(tmp_path: Path) -> None:
    endless = Condition("(WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n) SELECT count(*) FROM n)")
    claim = Claim()
    with opened_store(tmp_path) as store:
        store.add([candidate(store, 1)])
    with opened_store(tmp_path) as store, store.catalog.snapshot() as records, ThreadPoolExecutor(1) as pool:
        for query in (records.count, records.keys, lambda condition: records.newest(10, None, condition)):
            with claim.in_force():
                waiting = pool.submit(copy_context().run, query, endless)
            claim.drop(TooLate("late"))
            with pytest.raises(CancelledError):
                waiting.result(timeout=60)
        assert records.count() == 1
