"""One command makes a model better at someone's pictures and says by how much; imported models are read exactly."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageColor
from safetensors.torch import load_file

from model import load
from model.__main__ import main as import_model
from model.folder import read_folder
from tests.model.importing.checkpoints import huggingface
from tests.training.conftest import SAMPLE
from tests.training.guard.test_guards import settings, trained
from tests.training.loop.tiny import tiny_batch
from training.__main__ import main
from training.config import ConfigError, read_config
from training.data.drawings import read_examples
from training.export import export_run
from training.finetuning.command import RECIPE
from training.finetuning.split import split
from training.loop.log import read_log


def write_pictures(folder: Path) -> Path:
    """A folder of captioned pictures."""
    folder.mkdir()
    for number, example in enumerate(read_examples(SAMPLE / "train")):
        (folder / f"{number}.png").write_bytes(example.picture)
        (folder / f"{number}.txt").write_text(example.label)
    return folder


def write_colours(folder: Path) -> Path:
    """A folder of pictures of one noisy colour each, named: what any model can learn in a few steps."""
    folder.mkdir()
    noise = np.random.default_rng(0)
    for name in ("red", "green", "blue", "yellow", "black", "white", "orange", "purple"):
        for number in range(16):
            pixels = ImageColor.getrgb(name) + noise.integers(-30, 30, (16, 16, 3))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{name}-{number}.png")
            (folder / f"{name}-{number}.txt").write_text(name)
    return folder


def test_one_command_from_a_model_and_pictures_to_a_better_model(recipe, tmp_path, capsys):
    model = trained(recipe, tmp_path, "steps=10", "validate_every=10", "checkpoint_every=10")
    pictures, out = write_pictures(tmp_path / "pictures"), tmp_path / "out"
    keys = ["steps=60", "optimizer.learning_rate=3e-3", "optimizer.layer_decay=1.0", "precision=float32"]
    command = ["finetune", str(model), str(pictures), "--out", str(out), "--canary", str(SAMPLE / "validation")]
    capsys.readouterr()
    assert main([*command, "--json", *settings(*keys, "validate_every=30", "threads=1")]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == json.loads((out / "comparison.json").read_text())
    assert load(out / "model").fingerprint == said["fingerprint"]
    assert said["before"].keys() == said["after"].keys() == {"held-out", "canary"}
    ways = [said[when]["held-out"]["text_to_picture"]["R@10"] for when in ("before", "after")]
    assert ways[1] > ways[0]
    assert "| held-out | text → picture |" in (out / "comparison.md").read_text()
    assert not (out / "halfway").exists(), "the weights that were not taken are gone"
    tuned, midway = (
        load_file(export_run(out / "run", tmp_path / str(halfway), halfway=halfway).weights)
        for halfway in (False, True)
    )
    before = load_file(read_folder(model).weights)
    for name, value in tuned.items():
        if value.is_floating_point():
            torch.testing.assert_close(midway[name], (value + before[name]) / 2, atol=2e-3, rtol=2e-3)
    chosen, expected = (
        load_file(read_folder(out / "model").weights),
        {"tuned": tuned, "halfway": midway}[said["weights"]],
    )
    assert all(torch.equal(chosen[name], expected[name]) for name in expected)
    assert ("validation, label" in (out / "model" / "README.md").read_text()) == (said["weights"] == "tuned")
    assert main([*command, *settings("steps=70")]) == 1
    assert "name another folder by --out" in capsys.readouterr().err


def test_what_lies_where_a_fine_tune_is_to_go_stays(recipe, tmp_path, monkeypatch, capsys):
    """The names of its folders are those that people give to their own."""
    model = trained(recipe, tmp_path)
    data = tmp_path / "mine" / "pictures" / "train"
    shutil.copytree(SAMPLE / "train", data)
    before = sorted((path, path.stat().st_size) for path in (tmp_path / "mine").rglob("*"))
    monkeypatch.chdir(tmp_path / "mine")
    assert main(["finetune", str(model), "pictures/train", "--out", "."]) == 1
    assert "is there and no folder of a fine-tune" in capsys.readouterr().err
    assert sorted((path, path.stat().st_size) for path in (tmp_path / "mine").rglob("*")) == before


def test_a_fine_tune_goes_on_with_nothing_but_itself(recipe, tmp_path, monkeypatch, capsys):
    model, pictures = trained(recipe, tmp_path), write_pictures(tmp_path / "pictures")
    command = ["finetune", str(model), str(pictures), "--out", str(tmp_path / "out"), *settings("steps=2", "threads=1")]

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("training.finetuning.command.configure", die)
        assert main([*command, "--held-out", "0.4"]) == 1
        assert main(["finetune", str(model), str(tmp_path / "out" / "pictures" / "train"), *command[3:]]) == 1
        assert "is the folder of another fine-tune" in capsys.readouterr().err
        patched.undo()
        patched.setattr("training.finetuning.command._export", die)
        assert main(command) == 1, "before a run has begun, what was asked may be put right"
    capsys.readouterr()
    assert main([*command, "--held-out", "0.3"]) == 1
    assert "is the folder of another fine-tune" in capsys.readouterr().err
    (tmp_path / "out" / "model").mkdir()
    (tmp_path / "out" / "model" / "tokenizer.json").write_text("{")  # as a kill in the middle of an export leaves it
    assert main(command) in (0, 1)
    assert (tmp_path / "out" / "comparison.json").is_file()


@pytest.mark.parametrize(("kind", "loss"), [("clip", "contrastive"), ("siglip", "sigmoid")])
def test_an_imported_model_is_tuned_with_the_loss_that_it_was_trained_with(tmp_path, capsys, kind, loss):
    """From a folder of transformers to one that is better at the pictures, with its own tokenizer and its own loss."""
    theirs, ours, out = tmp_path / "theirs", tmp_path / "ours", tmp_path / "out"
    theirs.mkdir()
    torch.manual_seed(0)
    model = huggingface(theirs, kind)
    if kind == "siglip":  # a trained one's scale and bias: from random ones it first spends its steps on them
        model.logit_scale.data.fill_(math.log(10))
        model.logit_bias.data.fill_(-3)
        model.save_pretrained(theirs)
    assert import_model(["import", str(theirs), str(ours)]) == 0
    pictures = write_colours(tmp_path / "pictures")
    keys = ["steps=120", "optimizer.learning_rate=1e-2", "optimizer.layer_decay=1.0", "precision=float32", "threads=1"]
    capsys.readouterr()
    assert main(["finetune", str(ours), str(pictures), "--out", str(out), "--json", *settings(*keys)]) == 0
    said = json.loads(capsys.readouterr().out)
    ways = [said[when]["held-out"]["text_to_picture"]["R@5"] for when in ("before", "after")]
    assert ways[1] > ways[0]
    assert json.loads((out / "run" / "config.json").read_text())["loss"] == loss
    losses = [record["loss"] for record in read_log(out / "run")]
    assert sum(losses[-5:]) < sum(losses[:5])
    before, after = read_folder(ours), read_folder(out / "model")
    assert after.config == before.config
    assert after.tokenizer.to_bytes() == before.tokenizer.to_bytes()


def test_a_split_is_one_of_pictures_and_loses_nothing(tmp_path):
    """Each picture is in one part, by its bytes; what is said of it stays."""
    examples = read_examples(SAMPLE / "train")
    train, held_out = split(SAMPLE / "train", tmp_path, 0.3)
    found = read_examples(train.folder) + read_examples(held_out.folder)
    said = {e.picture: (e.label, e.captions, e.tags, e.concept, e.style, dict(e.labels)) for e in found}
    assert said == {e.picture: (e.label, e.captions, e.tags, e.concept, e.style, dict(e.labels)) for e in examples}
    assert train.pictures + held_out.pictures == len(examples)
    parts = [{e.picture for e in read_examples(part.folder)} for part in (train, held_out)]
    assert not parts[0] & parts[1]
    again = split(SAMPLE / "train", tmp_path / "again", 0.3)
    assert {e.picture for e in read_examples(again[1].folder)} == parts[1]


def test_a_picture_that_cannot_be_decoded_is_in_no_part(tmp_path, capsys):
    """Of its own concept, it would make a batch too large for the concepts that there are."""
    pictures = write_pictures(tmp_path / "pictures")
    (pictures / "x.png").write_bytes(b"\x89PNG, they say")
    (pictures / "x.txt").write_text("a thing of its own")
    train, held_out = split(pictures, tmp_path / "parts", 0.3)
    assert "1 of 151 samples cannot be used" in capsys.readouterr().err
    assert train.pictures + held_out.pictures == 150
    assert "a thing of its own" not in {e.label for part in (train, held_out) for e in read_examples(part.folder)}


def test_keys_of_a_new_model_beside_a_start_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"take out embedding_dim"):
        read_config(RECIPE, ["model.embedding_dim=16"])
    config = read_config(RECIPE)
    again = type(config).model_validate_json(config.model_dump_json())
    assert again == config, "a run's record reads as what it was"


def test_a_tower_that_reads_its_padding_gets_all_of_it(tmp_path):
    """SigLIP: cut to the longest of its group, a text would have another vector."""
    from model.clip import CLIP
    from model.config import ModelConfig
    from training.loop.ranks import ALONE
    from training.loop.training import Training

    config = read_config(RECIPE, ["precision=float32", "loss=sigmoid", "guard.other_loss=true"])
    tree = config.model.architecture.model_dump() | {"embedding_dim": 8, "logit_bias": True}
    tree["vision"] = {"kind": "vit", "image_size": 16, "patch_size": 4, "width": 16, "layers": 1, "heads": 2}
    tree["text"] = {"kind": "transformer", "width": 16, "layers": 2, "heads": 2, "vocab_size": 40, "context_length": 8}
    tree["text"] |= {"attends_padding": True, "pooling": "last"}
    tree["tokenization"] = {"padding": "context"}
    architecture = ModelConfig.model_validate(tree)
    model_section = config.model.model_copy(update={"architecture": architecture})
    config = config.model_copy(update={"model": model_section})
    training = Training(CLIP(architecture), config, torch.device("cpu"), ALONE)
    batch = tiny_batch()
    seen = {}

    def watch(losses, images, texts) -> None:
        seen["texts"] = texts

    expected = training.model.encode_text(batch.ids, batch.mask).detach()
    training.step(0, batch, watch)
    torch.testing.assert_close(seen["texts"], expected, rtol=0, atol=1e-6)
