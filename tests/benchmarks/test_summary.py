"""The table says what the results say, turned so that more is better, and does not hide what is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.summary import NAME, RESULTS, ROWS, read, table, tell


def write(folder: Path, name: str, report: object) -> None:
    (folder / f"{name}.json").write_text(json.dumps(report), encoding="utf-8")


def test_less_time_is_told_as_more_times(tmp_path: Path) -> None:
    write(tmp_path, "http_search", {"ratios": [{"clients": 1, "p50": 0.25, "throughput": 4.5}]})
    found, missing = read(tmp_path)
    assert [(one.row.measure, one.times) for one in found] == [
        ("search by words, 1 client: latency", 4.0),
        ("search by words, 1 client: answers a second", 4.5),
    ], "what was measured of 32 clients is not there"
    assert "http_search" not in missing
    assert {"encode", "ingest", "index", "service_start", "trainer"} <= set(missing)


def test_where_no_peer_got_there_it_is_said(tmp_path: Path) -> None:
    ratios = {"queries_per_second": None, "memory": 0.125, "build": 0.05}
    write(tmp_path, "index", {"collections": {"uniform": {"missing": [], "ratios": ratios}}})
    found, _ = read(tmp_path)
    assert [one.times for one in found] == [None, 8, 20]
    assert "no peer got there" in list(table(found))[2]
    write(tmp_path, "index", {"collections": {"uniform": {"missing": ["hnswlib"], "ratios": ratios}}})
    assert read(tmp_path)[0] == [], "who was not there has not failed"


def test_the_picture_is_drawn_and_what_is_missing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, "trainer", {"ratio": 1.75})
    tell(tmp_path)
    told = capsys.readouterr()
    assert "**1.8 ×**" in told.out
    assert "not run yet: encode" in told.err
    with Image.open(tmp_path / NAME) as drawn:
        assert drawn.width > 500


def test_no_row_of_a_committed_result_is_lost() -> None:
    """A row that cannot be read is taken for one that was not measured: only parts that are named as missing may be."""
    found, missing = read(RESULTS)
    index = json.loads((RESULTS / "index.json").read_bytes())["collections"]
    partly = [kind for kind, result in index.items() if result["missing"]]
    there = [
        row
        for row in ROWS
        if row.source not in missing and not (row.source == "index" and any(kind in row.measure for kind in partly))
    ]
    assert [one.row for one in found] == there
    assert missing == []
