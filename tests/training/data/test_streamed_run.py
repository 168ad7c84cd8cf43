"""A run on a stream: stopped and taken up again it learns the same, and it says what it reads and leaves out."""

import json

import pytest

from model.errors import ParallaxError
from tests.training.data.data_sets import picture
from training.config import read_config
from training.data.bad import BAD_SAMPLES
from training.loop.log import read_log
from training.loop.run import Run


class Stop:
    """A hook that ends the run after some step."""

    def __init__(self, after: int) -> None:
        self.after = after

    def start(self, run): ...

    def loss(self, run, losses, images, texts): ...

    def step(self, run, record):
        if run.step == self.after:
            raise ParallaxError("stopped")


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
