"""A run on a stream: stopped and taken up again it learns the same, and it says what it reads and leaves out."""

import json

import pytest
import torch
from PIL import Image

from model.errors import ParallaxError
from tests.training.conftest import SAMPLE
from tests.training.data.data_sets import picture
from training.config import ConfigError, read_config
from training.data.bad import BAD_SAMPLES
from training.data.stream import StreamFeed
from training.loop.log import read_log
from training.loop.run import Run
from training.loop.validation import Validation


class Stop:
    """A hook that ends the run after some step."""

    def __init__(self, after: int) -> None:
        self.after = after

    def start(self, run): ...

    def loss(self, run, losses, images, texts): ...

    def step(self, run, record):
        if run.step == self.after:
            raise ParallaxError("stopped")


def test_pictures_are_validated_as_the_model_is_served_with_them(recipe, tmp_path):
    """Not whole and with a margin where it sees them cut."""
    keys = ['model.preprocess.resize_mode="crop"', "data.early_steps=0"]
    recipe.write_text(recipe.read_text().replace("early_size = 12\n", ""))
    config = read_config(recipe, keys)
    run = Run(config, tmp_path / "run")
    assert isinstance(run.feed, StreamFeed), "which cuts them, too"
    wide = Image.new("RGB", (32, 16), "red")
    (tmp_path / "wide").mkdir()
    wide.save(tmp_path / "wide" / "0.png")
    (tmp_path / "wide" / "0.txt").write_text("red")
    seen: list[torch.Tensor] = []
    run.average.encode_image = lambda pixels: seen.append(pixels) or torch.ones(len(pixels), 16)
    Validation(config, {16}, tmp_path / "wide").measure(run.average, run.tokenizer, 16, torch.device("cpu"))
    (pixels,) = seen
    assert torch.equal(pixels, pixels[:, :, :1, :1].expand_as(pixels)), "red to its edges"
    held = read_config(recipe, [*keys, f'data.train=[{{path="{SAMPLE}/train", per_batch=8, kind="memory"}}]'])
    with pytest.raises(ConfigError, match='resize_mode = "pad"'):
        Run(held, tmp_path / "no")


def test_a_stopped_run_on_photographs_goes_on_as_if_it_were_not(recipe, tmp_path, capsys):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(30):
        (folder / f"{number}.png").write_bytes(picture(number, 40))
        (folder / f"{number}.txt").write_text(f"thing {number % 20}")
    (folder / "7.png").write_bytes(b"no picture")
    source = f'[{{path = "{folder}", per_batch = 12, kind = "stream"}}]'
    config = read_config(recipe, [f"data.train={source}", "data.stream.workers=0", "data.stream.buffer=10", "steps=7"])
    Run(config, tmp_path / "straight").train()
    told = capsys.readouterr().err
    assert f"{folder}: folder of 30 pictures with captions beside them, streamed" in told
    assert "samples cannot be used and are left out; " in told
    report = (tmp_path / "straight" / BAD_SAMPLES).read_text().splitlines()
    assert [json.loads(line)["key"] for line in report] == ["7.png"]

    with pytest.raises(ParallaxError, match="stopped"):
        Run(config, tmp_path / "stopped", hooks=[Stop(6)]).train()
    resumed = Run(config, tmp_path / "stopped", resume=True)
    assert resumed.step == 4
    resumed.train()
    straight, again = (read_log(tmp_path / name) for name in ("straight", "stopped"))
    assert [record["loss"] for record in again] == [record["loss"] for record in straight]
    assert all(0 <= record["waiting"] <= 1 for record in straight)
