"""And, or, not: a tree of tests, and its text in SQL.

The parser of SQLite gives up when too much stands open: `a AND (b OR (c AND …`. So `not` goes down to the tests (De
Morgan), junctions of one kind are joined, and what is nested most comes first: `((… AND c) OR b) AND a`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from app.filters.sql import listed, sql
from app.records.record import EVERY, Condition


@dataclass(frozen=True, slots=True)
class Test:
    """A condition that is true or false, never unknown."""

    condition: Condition
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Junction:
    """All of its parts, or any of them; no part is a junction of the same kind."""

    of_all: bool
    parts: tuple[Tree, ...]


Tree = Test | Junction


def junction(trees: Iterable[Tree], *, of_all: bool) -> Tree:
    """All of these, or any of them."""
    parts: list[Tree] = []
    for tree in trees:
        parts += tree.parts if isinstance(tree, Junction) and tree.of_all == of_all else [tree]
    return parts[0] if len(parts) == 1 else Junction(of_all, tuple(parts))


def opposite(tree: Tree) -> Tree:
    """What holds where this does not."""
    if isinstance(tree, Test):
        return replace(tree, negated=not tree.negated)
    return junction(map(opposite, tree.parts), of_all=not tree.of_all)


def condition_of(tree: Tree) -> Condition:
    """The tree as one condition."""
    if isinstance(tree, Test):
        return sql("NOT ", tree.condition) if tree.negated else tree.condition
    if not tree.parts:
        return EVERY if tree.of_all else Condition("FALSE")
    parts = sorted(tree.parts, key=_open, reverse=True)
    return sql("(", listed(map(condition_of, parts), " AND " if tree.of_all else " OR "), ")")


def _open(tree: Tree) -> int:
    """How many tokens stand open at most while the text of a tree is read: (, or ( before AND, for each part."""
    if isinstance(tree, Test):
        return 0
    first, *others = sorted(map(_open, tree.parts), reverse=True) or [0]
    return max([first + 1, *(other + 3 for other in others)])
