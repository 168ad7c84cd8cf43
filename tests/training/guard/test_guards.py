"""What ruins a run is brought about for real; each guard ends it with a diagnosis, and the last good state stays."""

import json
from pathlib import Path

import pytest
import torch

from tests.training.conftest import SAMPLE
from tests.training.loop.hooks import At
from training.__main__ import main
from training.config import TrainingConfig, read_config
from training.export import export_run
from training.guard.guards import guards
from training.guard.stopping import RunStoppedError
from training.loop.checkpoint import latest, load_checkpoint, save_checkpoint, set_aside
from training.loop.log import read_log
from training.loop.run import Run


def settings(*overrides: str) -> list[str]:
    return [part for override in overrides for part in ("--set", override)]


def guarded(config: TrainingConfig, folder: Path, **keys) -> Run:
    run = Run(config, folder, **keys)
    run.hooks = (*run.hooks, *guards(config))
    return run


def finite(state: dict) -> bool:
    return all(bool(value.isfinite().all()) for part in ("model", "average") for value in state[part].values())


def trained(recipe: Path, folder: Path, *overrides: str) -> Path:
    """A model folder of a tiny model that knows its pictures."""
    keys = ["steps=120", "validate_every=120", "checkpoint_every=120", "data.early_steps=0", *overrides]
    recipe.write_text(recipe.read_text().replace("early_size = 12\n", ""))
    Run(read_config(recipe, keys), folder / "run").train()
    return export_run(folder / "run", folder / "model").path


def tuning(recipe: Path, model: Path, *keys: str) -> list[str]:
    """The recipe for a model that is trained already."""
    text = recipe.read_text()
    before, _, rest = text.partition("[model]")
    recipe.write_text(f'{before}[model]\nstart = "{model}"\n[optimizer]{rest.partition("[optimizer]")[2]}')
    return settings(*keys)


def test_a_healthy_run_is_not_stopped_and_sings(recipe, tmp_path):
    assert main(["train", str(recipe), "--out", str(tmp_path / "run"), *settings("steps=40")]) == 0
    records = read_log(tmp_path / "run")
    assert len(records) == 40
    assert {"canary_before_R@1", "image_uniformity", "text_variance"} <= records[0].keys()
    assert [record["step"] for record in records if "canary_R@1" in record] == list(range(4, 41, 4))
    assert all(record["canary_R@1"] == record["validation_R@1"] for record in records if "canary_R@1" in record)


def test_a_guarded_run_is_resumed_bit_for_bit(recipe, tmp_path):
    config = read_config(recipe, ["guard.canary_every=3"])
    guarded(config, tmp_path / "straight").train()

    def die() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        guarded(config, tmp_path / "stopped", hooks=[At(6, die)]).train()
    guarded(config, tmp_path / "stopped", resume=True).train()
    logs = [
        [{k: v for k, v in r.items() if k not in ("samples_per_second", "waiting")} for r in read_log(tmp_path / name)]
        for name in ("straight", "stopped")
    ]
    assert logs[0] == logs[1]
    assert [record["step"] for record in logs[0] if "canary_R@1" in record] == [3, 6, 8]


@pytest.mark.parametrize("keep", [1, 2])
def test_an_enormous_rate_ends_in_a_diagnosis_and_nothing_bad_is_the_newest(recipe, tmp_path, capsys, keep):
    """The rate is 3e-3 while checkpoints are made, then leaves all bounds, as a resumed run's may."""
    run = tmp_path / "run"
    wild = settings("steps=60", "checkpoint_every=1", f"keep_checkpoints={keep}", "guard.collapsed_steps=5")
    assert main(["train", str(recipe), "--out", str(run), *settings("steps=4", "optimizer.warmup_steps=0")]) == 0
    rate = settings("optimizer.learning_rate=1e30", "optimizer.warmup_steps=0")
    assert main(["train", str(recipe), "--out", str(run), "--resume", *wild, *rate]) == 1
    said = capsys.readouterr().err
    assert "Likely causes: a learning rate that is too high" in said
    assert f"The last good checkpoint is {latest(run)}" in said
    state = load_checkpoint(run)
    assert state["step"] == 4
    assert finite(state)
    assert (run / "curves.png").is_file()


def test_good_checkpoints_stay_where_the_newest_is_no_number(config, tmp_path):
    """As it may be of a run without guards."""
    config = config.model_copy(update={"checkpoint_every": 1, "keep_checkpoints": 8})
    Run(config, tmp_path).train()
    state = load_checkpoint(tmp_path)
    state["model"]["log_logit_scale"].fill_(float("nan"))
    save_checkpoint(tmp_path, state, 8, [])
    with pytest.raises(RunStoppedError, match=r"The last good checkpoint is \S+step-00000007\.pt"):
        guarded(config.model_copy(update={"steps": 10}), tmp_path, resume=True).train()


def test_a_collapse_is_named_with_value_and_limit(recipe, tmp_path, capsys):
    run = tmp_path / "run"
    keys = ["steps=100", "data.early_steps=0", "guard.collapsed_steps=5", "optimizer.learning_rate=0.3"]
    keys += ["precision=float32", "checkpoint_every=1"]
    recipe.write_text(recipe.read_text().replace("early_size = 12\n", ""))
    assert main(["train", str(recipe), "--out", str(run), *settings(*keys)]) == 1
    said = capsys.readouterr().err
    assert "a collapse, for 5 steps: the " in said
    assert "above the limit of -0.02" in said
    assert latest(run) is None, "every state since the first step had collapsed"
    assert len(list((run / "checkpoints").glob("*.suspect"))) == 2
    assert len(read_log(run)) == 5


def test_a_gradient_that_is_no_number_ends_a_run_before_it_is_saved(config, tmp_path):
    config = config.model_copy(update={"checkpoint_every": 1})
    run = Run(config, tmp_path)

    def poison() -> None:
        for parameter in run.model.text_tower.parameters():
            parameter.register_hook(lambda gradient: gradient * float("nan"))

    run.hooks = (At(1, poison), *guards(config))  # the hooks fire in the backward pass of the third step
    with pytest.raises(RunStoppedError, match="norm of the gradient is nan"):
        run.train()
    assert finite(load_checkpoint(tmp_path))


def test_forgetting_ends_a_fine_tune_at_the_state_before_it(recipe, tmp_path, capsys):
    model = trained(recipe, tmp_path)
    keys = ["steps=60", "data.early_steps=0", "ema_decay=0.0", "guard.canary_every=5", "checkpoint_every=5"]
    keys += ["validate_every=60", "optimizer.learning_rate=0.3", "guard.collapsed_steps=1000", "keep_checkpoints=1"]
    keys += [f"guard.canary={SAMPLE / 'train'}", "optimizer.warmup_steps=0"]
    run = tmp_path / "tuned"
    assert main(["train", str(recipe), "--out", str(run), *tuning(recipe, model, *keys)]) == 1
    said = capsys.readouterr().err
    assert "the model forgets: the recall of the canary" in said
    assert "at the start, and the limit is" in said
    assert latest(run) is None, "it had forgotten by the first canary: no state since is good"
    assert list((run / "checkpoints").glob("*.suspect"))


def test_a_gentle_fine_tune_is_not_stopped(recipe, tmp_path):
    model = trained(recipe, tmp_path)
    keys = ["steps=20", "data.early_steps=0", "optimizer.learning_rate=1e-4", "guard.canary_every=5"]
    assert main(["train", str(recipe), "--out", str(tmp_path / "tuned"), *tuning(recipe, model, *keys)]) == 0
    records = read_log(tmp_path / "tuned")
    known = read_log(tmp_path / "run")[-1]["validation_R@10"]
    assert records[0]["canary_before_R@10"] == pytest.approx(known, abs=0.1), "the weights are those of the folder"
    assert records[-1]["canary_R@10"] >= known - 0.1


def test_small_pictures_are_not_held_against_large_ones(recipe, tmp_path, capsys):
    """A fine-tune that begins on small pictures: its reference is what the model can do on those that it knows."""
    model = trained(recipe, tmp_path)
    known = read_log(tmp_path / "run")[-1]["validation_R@10"]
    keys = ["steps=8", "data.early_size=12", "data.early_steps=5", "optimizer.learning_rate=1e-4"]
    keys += ["guard.canary_every=1", f"guard.canary={SAMPLE / 'validation'}"]
    assert main(["train", str(recipe), "--out", str(tmp_path / "tuned"), *tuning(recipe, model, *keys)]) == 0
    records = read_log(tmp_path / "tuned")
    assert records[0]["canary_before_R@10"] == pytest.approx(known, abs=0.1)
    assert [record["step"] for record in records if "canary_R@1" in record] == [6, 7, 8]
    assert "No canary is measured" not in capsys.readouterr().err
    keys = ["steps=2", *keys[1:]]
    assert main(["train", str(recipe), "--out", str(tmp_path / "short"), *settings(*keys)]) == 0
    assert "No canary is measured: every step is on smaller pictures" in capsys.readouterr().err
    run = Run(read_config(recipe, ["data.early_size=12", "data.early_steps=5"]), tmp_path / "own")
    assert run.trained_size == 16
    assert run.validate()["R@10"] == pytest.approx(known, abs=0.1)


@pytest.mark.parametrize(("trained_with", "asked"), [("sigmoid", "contrastive"), ("contrastive", "sigmoid")])
def test_the_other_loss_is_refused_unless_asked_for(recipe, tmp_path, capsys, trained_with, asked):
    """open_clip #1076: SigLIP weights under CLIP's loss."""
    Run(read_config(recipe, ["steps=2", f"loss={trained_with}", "data.early_steps=0"]), tmp_path / "run").train()
    model = export_run(tmp_path / "run", tmp_path / "model").path
    recipe.write_text(recipe.read_text().replace("early_size = 12\n", "").replace("early_steps = 3\n", ""))
    keys = tuning(recipe, model, "steps=2", f"loss={asked}")
    assert main(["train", str(recipe), "--out", str(tmp_path / "tuned"), *keys]) == 1
    said = capsys.readouterr().err
    assert f"it was trained with the {trained_with} loss" in said
    assert f'Set loss = "{trained_with}", or, to try it all the same, guard.other_loss = true' in said
    assert not (tmp_path / "tuned").exists()
    keys += settings("guard.other_loss=true")
    assert main(["train", str(recipe), "--out", str(tmp_path / "tuned"), *keys]) == 0
    assert export_run(tmp_path / "tuned", tmp_path / "out").config.logit_bias == (asked == "sigmoid")


def test_a_run_is_not_resumed_with_the_other_loss(recipe, tmp_path, capsys):
    assert main(["train", str(recipe), "--out", str(tmp_path / "run")]) == 0
    command = ["train", str(recipe), "--out", str(tmp_path / "run"), "--resume", *settings("loss=sigmoid", "steps=9")]
    assert main(command) == 1
    assert "the run's checkpoint has no logit bias" in capsys.readouterr().err


def test_guards_can_be_turned_off(recipe, tmp_path):
    assert guards(read_config(recipe, ["guard.on=false"])) == ()


def test_what_is_not_known_to_be_good_does_not_push_out_what_is(tmp_path):
    for step in range(1, 8):
        save_checkpoint(tmp_path, {"step": step, "x": torch.zeros(1)}, keep=1, good=[2, 5])
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == [f"step-0000000{step}.pt" for step in (2, 5, 7)]
    set_aside(tmp_path, 6)
    assert latest(tmp_path).name == "step-00000005.pt"
    assert json.dumps(load_checkpoint(tmp_path)["step"]) == "5"
