"""The figures of docs/model.md are drawn from what the models really computed, and are those that the page shows."""

import re
from pathlib import Path

import pytest
import torch
from PIL import Image

from benchmarks.figures import lessons
from benchmarks.figures.__main__ import FIGURES, main
from benchmarks.figures.studio import Studio
from benchmarks.figures.watch import watched
from model.transformer import DecoderBlock, MultiHeadAttention, causal_mask

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_shows_every_figure_once_and_no_other():
    shown = re.findall(r"\(figures/(\w+)\.png\)", (DOCS / "model.md").read_text(encoding="utf-8"))
    assert sorted(shown) == sorted(FIGURES)
    assert {path.stem for path in (DOCS / "figures").glob("*.png")} == set(FIGURES)


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_small_to_load_and_large_enough_to_read(name):
    path = DOCS / "figures" / f"{name}.png"
    assert path.stat().st_size < 150_000
    with Image.open(path) as image:
        assert min(image.size) > 200
        assert max(image.size) > 350


def test_what_is_watched_is_what_was_computed():
    """Weights that were computed in another way than the answers would be a picture of something else."""
    torch.manual_seed(0)
    block = DecoderBlock(16, 2)
    x, memory = torch.randn(3, 5, 16), torch.randn(3, 7, 16)
    with watched(block.attention, block.cross_attention) as looks:
        expected = block(x, memory, causal_mask(5, 5))
    own, cross = looks
    assert own.weights.shape == (3, 2, 5, 5)
    assert cross.weights.shape == (3, 2, 5, 7)
    assert own.weights.triu(1).count_nonzero() == 0
    for look in looks:
        torch.testing.assert_close(look.weights.sum(dim=-1), torch.ones_like(look.weights[..., 0]))
    torch.testing.assert_close(block(x, memory, causal_mask(5, 5)), expected)
    assert len(looks) == 2, "it is not watched any longer"


def test_a_watched_attention_that_returns_something_else_is_an_error():
    class Doubled(MultiHeadAttention):
        def forward(self, *args, **kwargs):
            return 2 * super().forward(*args, **kwargs)

    module = Doubled(16, 2)
    with watched(module), pytest.raises(AssertionError):
        module(torch.randn(1, 4, 16))


def test_figures_of_the_shipped_model_are_drawn(tmp_path, capsys):
    drawn = ["attention", "similarity", "loss", "activations"]
    main([*drawn, "--out", str(tmp_path / "out"), "--work", str(tmp_path / "work")])
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        str(tmp_path / "out" / f"{name}.png") for name in drawn
    ]
    assert not (tmp_path / "work").exists(), "nothing had to be taught"


def test_what_is_taught_is_kept(tmp_path, monkeypatch):
    taught = []
    monkeypatch.setattr(lessons, "practise", lambda model, *_: taught.append(model))
    again = [Studio(tmp_path).reverser, Studio(tmp_path).reverser]
    assert len(taught) == 1
    torch.testing.assert_close(*(model.state_dict()["output.linear.weight"] for model in again))


def test_an_unknown_figure_is_a_usage_error(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["no-such-figure", "--out", str(tmp_path)])
    assert "no-such-figure" in capsys.readouterr().err
