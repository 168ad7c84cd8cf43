"""The measurement of waiting is one of whole runs, on drawings and on photographs, and says so in its result."""

import json

from benchmarks import data_loading
from tests.training.conftest import recipe  # noqa: F401  # a fixture


def test_it_measures_both_kinds_of_data(recipe, tmp_path, monkeypatch, capsys):  # noqa: F811
    for name, value in {"STEPS": 3, "WARM_UP": 1, "PHOTOGRAPHS": 48, "DIFFERENT": 2, "SHARDS": 2}.items():
        monkeypatch.setattr(data_loading, name, value)
    monkeypatch.setattr(data_loading, "keep_freed_memory", lambda: None)  # other threads are at work here
    out = tmp_path / "result.json"
    options = ["--recipe", str(recipe), "--set", "data.stream.workers=0", "--set", "optimizer.warmup_steps=1"]
    monkeypatch.setattr("sys.argv", ["data_loading", *options, "--out", str(out)])
    data_loading.main()
    drawings, photographs = json.loads(out.read_text())["measures"]
    assert [drawings["name"], photographs["name"]] == ["drawings in memory", "photographs, streamed"]
    for row in (drawings, photographs):
        assert row["steps"] == 3
        assert row["batch"] == 40
        assert 0 <= row["waiting_share"] <= row["waiting_largest"] <= 1
    assert capsys.readouterr().out.count("of it waiting") == 2
