"""The page about reliability names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
NAMED = re.findall(r"`(test_\w+\.py)::(\w+)`", PAGE.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("file", "name"), NAMED, ids=[name for _, name in NAMED])
def test_a_promise_has_the_test_that_the_page_names(file: str, name: str) -> None:
    source = (Path(__file__).parent / file).read_text(encoding="utf-8")
    assert re.search(rf"^(def |class ){name}\b|^{name} = ", source, re.MULTILINE)


def test_every_promise_has_a_mechanism_and_a_test() -> None:
    page = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+) \| (.+) \| (.+) \|$", page, re.MULTILINE)
    promises = [row for row in rows if row[0] != "promise" and not row[0].startswith("`")]
    assert len(promises) > 10
    assert all("test_" in test for _, _, test in promises)
