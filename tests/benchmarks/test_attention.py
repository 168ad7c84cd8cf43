"""The benchmark of attention measures every way at every place, and its report tells what it was taken on."""

import json
import sys

from benchmarks import attention


def test_every_way_is_measured_everywhere(tmp_path, monkeypatch, capsys):
    place = attention.Place("somewhere", 1, 4, 2, masked=True)
    monkeypatch.setattr(attention, "PLACES", (place,))
    monkeypatch.setattr(sys, "argv", ["attention", "--seconds", "0", "--out", str(tmp_path / "report.json")])
    attention.main()
    report = json.loads((tmp_path / "report.json").read_text())
    assert {(row["precision"], row["what"]) for row in report["measures"]} == {
        (precision, what) for precision in attention.PRECISIONS for what in ("forward", "forward and backward")
    }
    for row in report["measures"]:
        assert row["ways"].keys() == {way.__name__ for way in attention.WAYS}
    assert report["machine"]["cores"] >= 1
    assert report["versions"].keys() == {"python", "torch"}
    assert capsys.readouterr().out.count("←") == 4, "one fastest way a row"
