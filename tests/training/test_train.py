"""From pictures to a model that is served: it learns, a stopped run goes on as if nothing was, errors are clear."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from model import load
from tests.training.conftest import SAMPLE
from training.__main__ import main
from training.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from training.config import ConfigError, read_config
from training.export import export_run
from training.train import LOG, Run

RECIPES = Path(__file__).parent.parent.parent / "training" / "recipes"


def log(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / LOG).read_text().splitlines()]


def width(picture: Path) -> int:
    with Image.open(picture) as image:
        return image.width


def state(run: Path) -> dict:
    return load_checkpoint(run)


@pytest.mark.parametrize("kind", ["muon", "adamw"])
def test_a_resumed_run_equals_one_that_was_never_stopped(recipe, tmp_path, kind):
    config = read_config(recipe, [f"optimizer.kind={kind}"])
    straight = Run(config, tmp_path / "straight")
    straight.train()

    stopped = Run(config, tmp_path / "stopped")
    one_step = stopped._one_step

    def die_at_six(batch):
        if stopped.step == 6:
            raise KeyboardInterrupt
        return one_step(batch)

    stopped._one_step = die_at_six
    with pytest.raises(KeyboardInterrupt):
        stopped.train()
    resumed = Run(config, tmp_path / "stopped")
    resumed.resume()
    assert resumed.step == 4, "the last checkpoint, two steps before the end came"
    resumed.train()

    timeless = [
        [{k: v for k, v in r.items() if k != "samples_per_second"} for r in log(tmp_path / n)]
        for n in ("straight", "stopped")
    ]
    assert timeless[0] == timeless[1]
    assert [record["step"] for record in timeless[1]] == list(range(1, 9))
    for part in ("model", "average"):
        one, other = state(tmp_path / "straight")[part], state(tmp_path / "stopped")[part]
        assert all(torch.equal(one[name], other[name]) for name in one), part


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
    train = said["splits"]["train"]
    assert set(train["styles"]) == {"noto", "noto-v1", "fluent-emoji-flat"}
    assert train["picture_to_gallery"]["R@1"] == 1.0, "every picture finds itself in its own gallery"
    assert train["zero_shot_accuracy"] == train["picture_to_text"]["R@1"]
    assert "| validation | text → picture | 50 |" in (tmp_path / "out" / "result.md").read_text()
    assert width(tmp_path / "out" / "recall.png") > 500


def test_the_exported_model_is_the_averaged_one(config, tmp_path):
    run = Run(config, tmp_path / "run")
    run.train()
    encoder = load(export_run(tmp_path / "run", tmp_path / "model").path)
    ids, mask = run.tokenizer.encode(["red apple"])
    with torch.no_grad():
        expected = run.average.encode_text(torch.from_numpy(ids), torch.from_numpy(mask)).numpy()
    np.testing.assert_allclose(encoder.encode_texts(["red apple"]), expected, atol=2e-3)  # float16 weights
    card = (tmp_path / "model" / "README.md").read_text()
    assert "8 of 8" in card


def test_a_damaged_or_missing_checkpoint_is_an_error(tmp_path):
    with pytest.raises(CheckpointError, match="without --resume"):
        load_checkpoint(tmp_path)
    save_checkpoint(tmp_path, {"step": 1})
    whole = (tmp_path / "checkpoint.pt").read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"cos\nsystem\n(S'true'\ntR."):
        (tmp_path / "checkpoint.pt").write_bytes(damaged)
        with pytest.raises(CheckpointError, match="is damaged"):
            load_checkpoint(tmp_path)


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
