"""Pieces of SQL that keep their values with them, so that marks and values cannot get out of order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from app.records.record import Condition

TRUE, FALSE = Condition("TRUE"), Condition("FALSE")


def sql(*pieces: Condition | str) -> Condition:
    """Pieces in a row."""
    conditions = [piece if isinstance(piece, Condition) else Condition(piece) for piece in pieces]
    values = tuple(value for piece in conditions for value in piece.parameters)
    return Condition("".join(piece.sql for piece in conditions), values)


def mark(value: str | int | float) -> Condition:
    """A value, as a mark."""
    return Condition("?", (value,))


def listed(pieces: Iterable[Condition], between: str) -> Condition:
    """Pieces with a text between them."""
    return sql(*[part for piece in pieces for part in (between, piece)][1:])


def all_of(conditions: Sequence[Condition]) -> Condition:
    return _joined(conditions, " AND ", TRUE)


def any_of(conditions: Sequence[Condition]) -> Condition:
    return _joined(conditions, " OR ", FALSE)


def _joined(conditions: Sequence[Condition], between: str, none: Condition) -> Condition:
    if len(conditions) < 2:
        return next(iter(conditions), none)
    return sql("(", listed(conditions, between), ")")
