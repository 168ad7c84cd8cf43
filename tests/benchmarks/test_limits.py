"""The limits of the machine are rates, greater than what they bound."""

import json

from benchmarks import limits


def test_the_report_has_a_rate_of_each_kind(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(limits, "SIDE", 64)
    monkeypatch.setattr(limits, "MEMORY", 1 << 20)
    timing = limits.Timing(median_s=0.5, lower_s=0.25, upper_s=1.0, calls=1)
    monkeypatch.setattr(limits, "take", lambda _: timing)
    monkeypatch.setattr("sys.argv", ["limits", "--out", str(tmp_path / "limits.json")])
    limits.main()
    report = json.loads((tmp_path / "limits.json").read_text("utf-8"))
    work = 2 * 64**3 / 1e9
    assert report["gflops"] == {kind: [work / 0.5, work, work / 0.25] for kind in ("float32", "bfloat16", "int8")}
    assert report["gigabytes_per_second"] == [(1 << 20) / 1e9 / s for s in (0.5, 1.0, 0.25)]
    assert "reading memory" in capsys.readouterr().out


def test_each_kind_of_product_runs_here(monkeypatch):
    monkeypatch.setattr(limits, "SIDE", 64)
    monkeypatch.setattr(limits, "take", lambda call: call())
    shapes = {name: tuple(product.shape) for name, _, product in limits.products()}
    assert shapes == dict.fromkeys(("float32", "bfloat16", "int8"), (64, 64))
