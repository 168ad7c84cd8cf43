"""From pictures to a model that is served: it learns, a stopped run goes on as if nothing was, errors are clear."""

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from model import load
from model.errors import ParallaxError
from tests.training.conftest import SAMPLE
from tests.training.loop.hooks import At
from training.__main__ import main
from training.config import ConfigError, read_config
from training.data.drawings import read_examples
from training.export import export_run
from training.loop import run
from training.loop.checkpoint import latest, load_checkpoint
from training.loop.environment import data_hash
from training.loop.log import read_log
from training.loop.run import Run

RECIPES = Path(__file__).parents[3] / "training" / "recipes"


def log(run: Path) -> list[dict]:
    """The records without what a clock says."""
    return [{k: v for k, v in record.items() if k not in ("samples_per_second", "waiting")} for record in read_log(run)]


def width(picture: Path) -> int:
    with Image.open(picture) as image:
        return image.width


class Died(Exception):
    """Where a test has a run end."""


def die() -> None:
    raise Died


def assert_same_run(one: Path, other: Path, steps: int) -> None:
    """Every number of every step, and the weights bit for bit."""
    assert log(one) == log(other)
    assert [record["step"] for record in log(other)] == list(range(1, steps + 1))
    states = load_checkpoint(one), load_checkpoint(other)
    for part in ("model", "average"):
        assert all(torch.equal(states[0][part][name], value) for name, value in states[1][part].items()), part


@pytest.mark.parametrize("kind", ["muon", "adamw"])
def test_a_resumed_run_equals_one_that_was_never_stopped(recipe, tmp_path, kind):
    config = read_config(recipe, [f"optimizer.kind={kind}"])
    straight = Run(config, tmp_path / "straight")
    straight.train()

    stopped = Run(config, tmp_path / "stopped", hooks=[At(6, die)])
    with pytest.raises(Died):
        stopped.train()
    resumed = Run(config, tmp_path / "stopped", resume=True)
    assert resumed.step == 4, "the last checkpoint, two steps before the end came"
    resumed.train()

    assert_same_run(tmp_path / "straight", tmp_path / "stopped", 8)


@pytest.mark.slow
def test_300_steps_killed_and_resumed_equal_600_straight(recipe, tmp_path):
    """With everything on that has a state or draws at random; the process gets a SIGKILL in step 341."""
    overrides = [
        "steps=600", "checkpoint_every=100", "validate_every=200", "chunk_size=20", "patch_dropout=0.3",
        "data.early_steps=0", "data.captions_per_picture=2", "optimizer.kind=muon",
        'model.vision={kind = "vit", image_size = 16, patch_size = 4, width = 32, layers = 2, heads = 2}',
    ]  # fmt: skip
    recipe.write_text(recipe.read_text().replace("early_size = 12\n", ""))
    settings = [part for override in overrides for part in ("--set", override)]
    assert main(["train", str(recipe), "--out", str(tmp_path / "straight"), *settings]) == 0
    killed = [sys.executable, "-c", KILLED, str(recipe), str(tmp_path / "stopped"), *settings]
    assert subprocess.run(killed, check=False).returncode == -signal.SIGKILL
    assert latest(tmp_path / "stopped").name == "step-00000300.pt"
    assert main(["train", str(recipe), "--out", str(tmp_path / "stopped"), "--resume", *settings]) == 0
    assert_same_run(tmp_path / "straight", tmp_path / "stopped", 600)


KILLED = """
import os, signal, sys
from functools import partial
from tests.training.loop.hooks import At
from training.__main__ import main
from training.loop import run

run.Run = partial(run.Run, hooks=[At(340, lambda: os.kill(os.getpid(), signal.SIGKILL))])
main(["train", sys.argv[1], "--out", sys.argv[2], *sys.argv[3:]])
"""


def test_sigterm_saves_the_step_that_is_under_way(recipe, tmp_path, capsys, monkeypatch):
    straight, stopped = (["train", str(recipe), "--out", str(tmp_path / name)] for name in ("straight", "stopped"))
    assert main(straight) == 0
    terminate = At(2, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with monkeypatch.context() as patched:
        patched.setattr(run, "Run", partial(Run, hooks=[terminate]))
        with pytest.raises(SystemExit) as ended:
            main(stopped)
    assert ended.value.code == 143
    assert "Stopped by SIGTERM after step 3" in capsys.readouterr().err
    assert latest(tmp_path / "stopped").name == "step-00000003.pt"
    assert main([*stopped, "--resume"]) == 0
    assert_same_run(tmp_path / "straight", tmp_path / "stopped", 8)


def test_a_hook_sees_every_step_and_ends_a_run(recipe, tmp_path, capsys, monkeypatch):
    """As a guard does: nothing is saved after what it objects to."""

    def object_to_it() -> None:
        raise ParallaxError("The loss is not a number.")

    monkeypatch.setattr(run, "Run", partial(Run, hooks=[At(5, object_to_it)]))
    assert main(["train", str(recipe), "--out", str(tmp_path / "run")]) == 1
    assert "The loss is not a number." in capsys.readouterr().err
    assert latest(tmp_path / "run").name == "step-00000004.pt"
    assert len(log(tmp_path / "run")) == 5


def test_a_folder_with_something_else_is_not_written_over(recipe, tmp_path, capsys):
    """A model folder has files of the same names."""
    assert main(["train", str(recipe), "--out", str(tmp_path / "run"), "--set", "steps=1"]) == 0
    model = export_run(tmp_path / "run", tmp_path / "model").path
    before = (model / "config.json").read_bytes()
    assert main(["train", str(recipe), "--out", str(model)]) == 1
    assert "holds a config.json that is of no run" in capsys.readouterr().err
    assert (model / "config.json").read_bytes() == before


def test_a_folder_with_a_run_is_not_written_over(recipe, tmp_path, capsys):
    command = ["train", str(recipe), "--out", str(tmp_path / "run"), "--set", "steps=2"]
    assert main(command) == 0
    before = (tmp_path / "run" / "log.jsonl").read_bytes()
    assert main(command) == 1
    assert "already holds a run: go on with it by --resume" in capsys.readouterr().err
    assert (tmp_path / "run" / "log.jsonl").read_bytes() == before


def test_a_run_folder_tells_what_was_run(config, tmp_path):
    """Configuration, machine and versions, commit, data; curves, and the log once more for TensorBoard."""
    config = config.model_copy(update={"checkpoint_every": 1, "keep_checkpoints": 3})
    Run(config, tmp_path).train()
    facts = json.loads((tmp_path / "environment.json").read_text())
    assert {"python", "torch", "numpy", "processor", "cores", "commit", "uncommitted", "data"} <= facts.keys()
    assert len(facts["data"]) == 64
    assert type(config).model_validate_json((tmp_path / "config.json").read_bytes()) == config
    assert [path.name for path in sorted((tmp_path / "checkpoints").iterdir())] == [
        f"step-0000000{step}.pt" for step in (6, 7, 8)
    ]
    (events,) = (tmp_path / "tensorboard").iterdir()
    told = events.read_bytes()
    assert b"contrastive_loss" in told
    assert b"validation_R_at_1" in told
    assert {"waiting", "samples_per_second", "loss", "gradient_norm"} <= read_log(tmp_path)[0].keys()


def test_a_resumed_run_says_what_is_no_longer_the_same(config, tmp_path, capsys):
    Run(config, tmp_path).train()
    optimizer = config.optimizer.model_copy(update={"learning_rate": 0.5})
    Run(
        config.model_copy(update={"steps": 9, "style_weight": 0.5, "optimizer": optimizer}), tmp_path, resume=True
    ).train()
    said = capsys.readouterr().err
    assert "config.json: steps was 8, is 9" in said
    assert re.search(r"config\.json: optimizer\.learning_rate was \S+, is 0\.5\n", said)
    assert "config.json: style_weight was 0.2, is 0.5" in said
    assert "environment.json" not in said


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_named(recipe, tmp_path, capsys):
    assert main(["train", str(recipe), "--out", str(tmp_path), "--set", "device=cuda"]) == 1
    assert "needs GPU 0, and this machine has 0" in capsys.readouterr().err


def test_the_hash_of_the_data_is_of_all_that_is_trained_on():
    examples = read_examples(SAMPLE / "validation")[:3]
    others = ({"label": "another"}, {"labels": {"de": "anderes"}}, {"keywords": {"de": ("anderes",)}})
    changed = [[*examples[:2], replace(examples[2], **other)] for other in others]
    hashes = {data_hash(of) for of in (examples, examples[:2], reversed(examples), *changed)}
    assert len(hashes) == 6
    assert data_hash(examples) in hashes


def learn(recipe: Path, folder: Path, part: str, tower: dict) -> list[dict]:
    """The log of 120 steps on 50 concepts, where chance is R@10 = 0.2."""
    overrides = {
        "steps": "120",
        "validate_every": "120",
        "checkpoint_every": "120",
        "data.early_steps": "0",
        "optimizer.warmup_steps": "10",
    }
    config = read_config(recipe, [f"{key}={value}" for key, value in overrides.items()])
    tree = config.model_dump()
    tree["data"]["early_size"] = None
    tree["model"][part] = tower
    tree["model"]["preprocess"]["size"] = tree["model"]["vision"]["image_size"]
    Run(type(config).model_validate(tree), folder).train()
    return log(folder)


@pytest.mark.parametrize(
    "vision",
    [
        {"kind": "resnet", "image_size": 16, "stem_width": 8, "stage_widths": [16, 32], "stage_depths": [1, 1]},
        {"kind": "vit", "image_size": 16, "patch_size": 4, "width": 32, "layers": 2, "heads": 2},
        {
            "kind": "hybrid", "image_size": 16, "stem_width": 8, "stage_widths": [16, 32], "stage_depths": [1, 1],
            "width": 32, "layers": 1, "heads": 2,
        },
        {
            "kind": "modified_resnet", "image_size": 32, "width": 8, "stage_depths": [1, 1, 1, 1], "heads": 4,
            "output_width": 32,
        },
    ],
    ids=lambda vision: vision["kind"],
)  # fmt: skip
def test_every_image_tower_learns(recipe, tmp_path, vision):
    records = learn(recipe, tmp_path / "run", "vision", vision)
    assert records[-1]["contrastive_loss"] < 0.9 * records[0]["contrastive_loss"]
    assert records[-1]["validation_R@10"] > 0.35


@pytest.mark.parametrize(
    "text",
    [
        {"kind": "transformer", "layers": 1, "heads": 2, "attention": "causal", "pooling": "first_eot"},
        {"kind": "lstm", "layers": 1},
        {"kind": "gru", "layers": 1, "bidirectional": True, "pooling": "mean"},
    ],
    ids=lambda text: text["kind"],
)
def test_every_text_tower_learns(recipe, tmp_path, text):
    sizes = {"vocab_size": 500, "context_length": 16, "width": 32}
    assert learn(recipe, tmp_path / "run", "text", sizes | text)[-1]["validation_R@10"] > 0.35


def test_a_text_tower_pools_the_token_that_ends_every_text(recipe, tmp_path):
    config = read_config(recipe, ["steps=1", "model.text.attention=causal", "model.text.pooling=first_eot"])
    run = Run(config, tmp_path / "run")
    run.train()
    folder = export_run(tmp_path / "run", tmp_path / "model")
    ids, mask = folder.tokenizer.encode(["red apple", "a much longer text, of many more words than can be read here"])
    assert [row[real][-1] for row, real in zip(ids, mask, strict=True)] == [folder.config.text.eot_id] * 2


def test_a_run_from_before_there_was_a_choice_of_text_towers_is_exported(config, tmp_path):
    Run(config, tmp_path / "run").train()
    path = tmp_path / "run" / "config.json"
    tree = json.loads(path.read_text())
    known = {"width", "layers", "heads", "mlp_ratio", "vocab_size", "context_length"}
    tree["model"]["text"] = {key: value for key, value in tree["model"]["text"].items() if key in known}
    path.write_text(json.dumps(tree))
    assert export_run(tmp_path / "run", tmp_path / "model").config.text.kind == "transformer"


def test_train_export_evaluate_by_command(recipe, tmp_path, capsys):
    run, model = str(tmp_path / "run"), str(tmp_path / "model")
    assert main(["train", str(recipe), "--out", run, "--set", "steps=4", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["step"] == 4
    assert width(tmp_path / "run" / "curves.png") > 500
    assert main(["export", run, model, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["fingerprint"] == load(model).fingerprint
    assert (
        main(
            [
                "evaluate",
                model,
                str(SAMPLE),
                "--gallery",
                str(SAMPLE / "train"),
                "--out",
                str(tmp_path / "out"),
                "--json",
            ]
        )
        == 0
    )
    said = json.loads(capsys.readouterr().out)
    assert said == json.loads((tmp_path / "out" / "result.json").read_text())
    assert said["splits"]["validation"]["concepts"] == 50


def test_the_exported_model_is_the_averaged_one(config, tmp_path):
    run = Run(config, tmp_path / "run")
    run.train()
    encoder = load(export_run(tmp_path / "run", tmp_path / "model").path, runtime="torch")
    ids, mask = run.tokenizer.encode(["red apple"])
    with torch.no_grad():
        expected = run.average.encode_text(torch.from_numpy(ids), torch.from_numpy(mask)).numpy()
    np.testing.assert_allclose(encoder.encode_texts(["red apple"]), expected, atol=2e-3)  # float16 weights
    card = (tmp_path / "model" / "README.md").read_text()
    assert "8 of 8" in card


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("stepps=3", "stepps"),
        ("steps=0", "steps: Input should be greater than 0"),
        ("steps", "expected key=value"),
        ("steps.more=1", "'steps' is a value, not a section"),
        ("model.vision.kind=lstm", "model.vision"),
        ("model.preprocess.size=32", "differ"),
        ("model.text.kind=rnn", "model.text"),
        ("model.text.pooling=last", "reads its padding"),
        ("optimizer.betas=[0.9, 1.5]", "optimizer.betas.1: Input should be less than 1"),
    ],
)
def test_a_wrong_configuration_is_named(recipe, tmp_path, capsys, override, complaint):
    assert main(["train", str(recipe), "--out", str(tmp_path), "--set", override]) == 1
    assert complaint in capsys.readouterr().err


def test_overrides_reach_the_configuration(recipe):
    config = read_config(recipe, ["steps=5", "model.name=other", "optimizer.betas=[0.8, 0.9]"])
    assert (config.steps, config.model.name, config.optimizer.betas) == (5, "other", (0.8, 0.9))


def test_a_file_that_is_no_toml_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.toml is not a readable TOML file"):
        read_config(tmp_path / "nowhere.toml")
    (tmp_path / "latin.toml").write_bytes("name = 'gr\u00fcn'".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"latin\.toml is not a readable TOML file"):
        read_config(tmp_path / "latin.toml")
    (tmp_path / "number.toml").write_text("[model]\nstart = 5")
    with pytest.raises(ConfigError, match="start is a model folder, not 5"):
        read_config(tmp_path / "number.toml")


def test_shipped_recipes_are_valid():
    recipes = sorted(RECIPES.glob("*.toml"))
    assert recipes
    for recipe in recipes:
        assert read_config(recipe).data.batch_size > 0


@pytest.mark.parametrize("arguments", [[], ["train"], ["prepare", "nothing", "x"], ["fly"]])
def test_misuse_is_status_2(arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
