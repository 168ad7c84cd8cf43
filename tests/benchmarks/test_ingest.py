"""What is said about ingest must come from the same pictures, whole ones, each of which is new to the service."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from benchmarks.ingest import LOOP, OURS, distinct, in_turns, plot, summary
from benchmarks.service_start import Started
from model.picture import decode


def jpeg() -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "JPEG")
    return file.getvalue()


def test_files_of_a_round_differ_and_their_pictures_do_not():
    files = {distinct(jpeg(), number) for number in range(50)}
    assert len(files) == 50
    for file in files:
        np.testing.assert_array_equal(decode(file).image, decode(jpeg()).image)


def test_sides_take_turns_and_no_file_comes_twice():
    taken: list[tuple[str, bytes]] = []

    def side(name: str, seconds: float):
        def take(files):
            taken.extend((name, file) for file in files)
            return seconds

        return take

    rates = in_turns({OURS: side(OURS, 0.5), LOOP: side(LOOP, 2.0)}, [jpeg()] * 1, 3)
    assert rates == {OURS: [2.0] * 3, LOOP: [0.5] * 3}, "the first round only warms up"
    assert [name for name, _ in taken] == [OURS, LOOP] * 4
    assert len(set(taken)) == len(taken)


def test_the_report_compares_medians_and_is_drawn(tmp_path):
    report = summary({OURS: [20.0, 24.0, 40.0], LOOP: [5.0, 6.0, 7.0]})
    assert report["times as fast as"] == {LOOP: pytest.approx(4)}
    plot(report, tmp_path / "ingest.png")
    with Image.open(tmp_path / "ingest.png") as drawn:
        assert drawn.width > 500


def test_starts_are_reported_by_their_medians():
    told = Started(seconds=(1.0, 9.0, 2.0), resident_mb=(200.0, 300.0, 210.0)).report()
    assert (told["seconds"]["median"], told["resident_mb"], told["starts"]) == (2.0, 210.0, 3)
