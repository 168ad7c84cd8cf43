"""The comparison of text towers compares what it says: equal sizes, texts in which one word decides, the same run."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from benchmarks.recurrent.__main__ import SPEED_REFERENCE
from benchmarks.recurrent.comparison import configurations, step_time
from benchmarks.recurrent.figure import draw
from benchmarks.recurrent.probe import CLASSES, REFERENCE, influence, learn, texts
from benchmarks.recurrent.speed import measure
from benchmarks.recurrent.towers import NAMES, TRANSFORMER, parameters, towers
from model.clip import text_tower
from model.config import ModelConfig, TextConfig

ROOT = Path(__file__).parents[2]
TINY = TextConfig(width=16, layers=1, heads=2, mlp_ratio=3.0, vocab_size=100, context_length=16)


@pytest.mark.parametrize("reference", [SPEED_REFERENCE, REFERENCE], ids=["speed", "probe"])
def test_all_towers_are_of_one_size(reference):
    compared = towers(reference)
    assert tuple(compared) == NAMES
    sizes = {name: parameters(config) for name, config in compared.items()}
    assert sizes[TRANSFORMER] == sum(p.numel() for p in text_tower(reference).parameters())
    assert all(abs(size / sizes[TRANSFORMER] - 1) <= 0.03 for size in sizes.values()), sizes
    assert len({config.layers for config in compared.values()}) == 1


def test_the_recipe_makes_runs_that_differ_in_their_text_tower_alone():
    runs = configurations(ROOT / "training" / "recipes" / "baseline.toml")
    assert tuple(runs) == NAMES
    assert len({run.model_dump_json(exclude={"model": {"text"}}) for run in runs.values()}) == 1
    sizes = [parameters(_trained(run).text) for run in runs.values()]
    assert max(sizes) / min(sizes) < 1.03 * 1.03


def _trained(run) -> ModelConfig:
    parts = run.model.model_dump()
    return ModelConfig.model_validate({key: parts[key] for key in ("name", "embedding_dim", "vision", "text")})


def test_speed_is_taken_of_every_tower_at_every_length():
    rows = list(measure(towers(TINY), seconds=0, lengths=(4, 8)))
    assert {(row["tower"], row["length"]) for row in rows} == {(name, length) for name in NAMES for length in (4, 8)}
    assert all(0 < row["lower_s"] <= row["median_s"] <= row["upper_s"] and row["calls"] >= 5 for row in rows)


def test_one_word_decides_and_nothing_else_tells_it():
    for place, where in (("first", 0), ("middle", 4), ("last", -1)):
        ids, classes = texts(200, 9, place, torch.Generator().manual_seed(0))
        assert ids[:, where].equal(classes)
        assert (ids < CLASSES).sum(dim=1).eq(1).all()
        assert set(classes.tolist()) == set(range(CLASSES))


def test_a_tower_learns_what_stands_at_its_end():
    compared = towers(REFERENCE)
    assert learn(compared["GRU"], 8, "last", 60) > 0.9
    assert learn(compared["GRU"], 8, "last", 1) < 0.5


def test_influence_is_a_share_and_fades_where_it_is_passed_on():
    heard = influence(towers(TINY), length=16, texts_each=8)
    assert all(sum(shares) == pytest.approx(1) and len(shares) == 16 for shares in heard.values())
    assert heard["LSTM"][0] < 0.01 < heard["LSTM"][-1]
    assert heard["LSTM, both ways"][0] > 0.01 < heard["LSTM, both ways"][-1]
    assert min(heard[TRANSFORMER]) > 0.01


def test_a_step_has_gradients_of_both_towers():
    runs = configurations(ROOT / "training" / "recipes" / "baseline.toml", ["data.train=[{path='x', per_batch=4}]"])
    assert step_time(_trained(runs["GRU"]), 4, seconds=0).median_s > 0


def test_the_committed_results_make_the_figure(tmp_path):
    draw(json.loads((ROOT / "docs" / "recurrent.json").read_text("utf-8")), tmp_path / "figure.png")
    with Image.open(tmp_path / "figure.png") as figure:
        assert figure.width > 1000
