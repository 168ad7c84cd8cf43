"""The page about reliability names tests that exist, and its hardest trials are tests of the promise's own name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.app.process import ROOT

PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`([\w/.]*test_\w+\.py)::(\w+)`", PAGE)))
TRIALS = re.findall(
    r"^\| (.+) \| .+ \| `[\w/.]+::test_(\w+)`.* \|$",
    PAGE.partition("## The hardest trials")[2].partition("## ")[0],
    re.MULTILINE,
)


@pytest.mark.parametrize(("file", "name"), NAMED, ids=[name for _, name in NAMED])
def test_a_promise_has_the_test_that_the_page_names(file: str, name: str) -> None:
    source = (Path(__file__).parent / file).read_text(encoding="utf-8")
    assert re.search(rf"^(def |class ){name}\b|^{name} = ", source, re.MULTILINE)


@pytest.mark.parametrize(("promise", "name"), TRIALS, ids=[name for _, name in TRIALS])
def test_a_trial_has_the_name_of_its_promise(promise: str, name: str) -> None:
    assert re.findall(r"[a-z0-9]+", promise.lower()) == name.split("_")


def test_every_hard_trial_is_on_the_page() -> None:
    assert len(TRIALS) >= 20


def test_every_promise_has_a_mechanism_and_a_test() -> None:
    rows = re.findall(r"^\| (.+) \| (.+) \| (.+) \|$", PAGE, re.MULTILINE)
    promises = [row for row in rows if row[0] != "promise" and not row[0].startswith("`")]
    assert len(promises) > 10
    assert all("test_" in test for _, _, test in promises)


def test_every_file_that_the_page_links_to_is_there() -> None:
    linked = re.findall(r"\]\(\.\./([\w/.]+)\)", PAGE)
    assert linked
    assert [path for path in linked if not (ROOT / path).is_file()] == []
