"""What a run exports is small where that costs nothing, and exact where it is small anyway."""

import json

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


def test_nothing_but_a_model_is_written_over(recipe, tmp_path, capsys, monkeypatch):
    """Least of all the run itself, whose config.json and tokenizer.json have the names of a model's."""
    run, model = tmp_path / "run", tmp_path / "model"
    Run(read_config(recipe, ["steps=1"]), run).train()
    before = (run / "config.json").read_bytes()
    assert main(["export", str(run), str(run)]) == 1
    assert "is not a model folder of Parallax; it stays as it is" in capsys.readouterr().err
    assert (run / "config.json").read_bytes() == before
    first = export_run(run, model)
    assert export_run(run, model).fingerprint == first.fingerprint, "a model may be"

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("model.folder.write_tensors", die)
        with pytest.raises(KeyboardInterrupt):
            export_run(run, model)
    assert not (model / "config.json").exists()
    assert export_run(run, model).fingerprint == first.fingerprint, "so may one whose writer was killed"
    assert not [path.name for path in model.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("device", "processes", "said"),
    [("cpu", 1, "8 CPU cores"), ("NVIDIA H200", 1, "NVIDIA H200"), ("NVIDIA H200", 4, "NVIDIA H200, 4 processes")],
)
def test_the_card_names_what_the_run_ran_on(recipe, tmp_path, device, processes, said):
    Run(read_config(recipe, ["steps=1"]), tmp_path / "run").train()
    path = tmp_path / "run" / "environment.json"
    facts = json.loads(path.read_text()) | {"cores": 8, "device": device, "processes": processes}
    path.write_text(json.dumps(facts))
    export_run(tmp_path / "run", tmp_path / "model")
    assert f" min on {said}, torch " in (tmp_path / "model" / "README.md").read_text()


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
