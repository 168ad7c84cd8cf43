"""Braces in names, as a shell expands them and as every WebDataset recipe is written: `{00000..00099}.tar`."""

import re

from training.data.example import DataError

_INNERMOST = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
MOST = 1_000_000
"""Names of one pattern: a slip in a range must not take all memory."""


def expand(pattern: str) -> list[str]:
    """Every name that a pattern stands for, in its order: ranges with leading zeros, lists, and several of them.

    Raises DataError where a pair of braces holds neither a range nor a list, or the names are too many.
    """
    found = _INNERMOST.search(pattern)
    if found is None:
        return [pattern]
    before, after = pattern[: found.start()], pattern[found.end() :]
    names: list[str] = []
    for middle in _alternatives(found[1], pattern):
        names += expand(f"{before}{middle}{after}")
        if len(names) > MOST:
            raise DataError(f"{pattern} stands for more than {MOST:,} names")
    return names


def _alternatives(inside: str, pattern: str) -> list[str]:
    ends = _RANGE.fullmatch(inside)
    if ends is None:
        if "," not in inside:
            raise DataError(
                f"{pattern}: {{{inside}}} is neither a range such as {{000..099}} nor a list such as {{a,b}}"
            )
        return inside.split(",")
    first, last = int(ends[1]), int(ends[2])
    if abs(last - first) >= MOST:
        raise DataError(f"{pattern} stands for more than {MOST:,} names")
    padded = any(len(end) > 1 and end[0] == "0" for end in ends.groups())
    width = max(map(len, ends.groups())) if padded else 0
    step = 1 if last >= first else -1
    return [f"{number:0{width}}" for number in range(first, last + step, step)]
