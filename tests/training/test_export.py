"""What a run exports is small where that costs nothing, and exact where it is small anyway."""

import torch
from safetensors.torch import load_file

from training.config import read_config
from training.export import export_run
from training.loop.checkpoint import load_checkpoint
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
