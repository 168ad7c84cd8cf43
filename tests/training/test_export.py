"""What a run exports is small where that costs nothing, and exact where it is small anyway."""

import pytest
import torch
from safetensors.torch import load_file

from tests.training.loop.hooks import At
from training.__main__ import main
from training.config import read_config
from training.export import export_run
from training.loop.checkpoint import load_checkpoint
from training.loop.log import read_log
from training.loop.run import Run


def test_only_matrices_are_rounded(recipe, tmp_path):
    """A running variance beyond 65,504 would be infinite in float16, and its channel silent."""
    Run(read_config(recipe, ["steps=1"]), tmp_path / "run").train()
    exported = load_file(export_run(tmp_path / "run", tmp_path / "model").weights)
    average = load_checkpoint(tmp_path / "run")["average"]
    assert exported.keys() == average.keys()
    for name, value in exported.items():
        if value.ndim > 1:
            assert value.dtype == torch.float16, name
            torch.testing.assert_close(value.float(), average[name], atol=1e-6, rtol=1e-3)
        else:
            assert value.dtype == average[name].dtype, name
            assert torch.equal(value, average[name]), name
    assert exported["log_logit_scale"].dtype == torch.float32
    assert {value.ndim for value in exported.values()} == {0, 1, 2, 4}


def test_a_run_of_its_own_has_no_halfway(recipe, tmp_path, capsys):
    """Its mean with random weights would be a model of neither."""
    Run(read_config(recipe, ["steps=1"]), tmp_path / "run").train()
    assert main(["export", str(tmp_path / "run"), str(tmp_path / "model"), "--halfway"]) == 1
    assert "run started from no model" in capsys.readouterr().err


def test_the_card_speaks_of_the_step_that_is_exported(recipe, tmp_path):
    """A run that was ended has gone on a little after its last checkpoint, and may have drawn no curves."""

    def die() -> None:
        raise KeyboardInterrupt

    run, folder = tmp_path / "run", tmp_path / "model"
    with pytest.raises(KeyboardInterrupt):
        Run(read_config(recipe, ["validate_every=6"]), run, hooks=[At(7, die)]).train()
    (record,) = (record for record in read_log(run) if record["step"] == 4)
    export_run(run, folder)
    card = (folder / "README.md").read_text()
    assert f"| last loss | {record['loss']:.3f} |" in card
    assert "| validation, label" not in card, "it was first measured in step 6"
    assert "](curves.png)" in card
    (run / "curves.png").unlink()
    export_run(run, folder)
    assert "curves.png" not in (folder / "README.md").read_text()
    assert not (folder / "curves.png").exists()
