"""A damaged or mixed-up model folder is refused with a sentence that names the file."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from model import load
from model.errors import ModelFolderError
from model.folder import CONFIG, PREPROCESS, TOKENIZER, WEIGHTS, read_folder
from model.tokenizer import Tokenizer
from tests.model.tiny import folder


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_folder_survives_reading_and_another_write_is_the_same(tmp_path):
    first, second = folder(tmp_path / "a"), folder(tmp_path / "b")
    assert read_folder(tmp_path / "a").fingerprint == first.fingerprint == second.fingerprint


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS, TOKENIZER, PREPROCESS])
def test_a_missing_file_is_named(tmp_path, name):
    folder(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ModelFolderError, match=name):
        read_folder(tmp_path)


def test_a_folder_that_is_none_is_refused(tmp_path):
    with pytest.raises(ModelFolderError, match="is not a model folder"):
        load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "changes", "complaint"),
    [
        (CONFIG, {"surprise": 1}, "surprise"),
        (PREPROCESS, {"size": 24}, "makes pictures of side 24"),
        (PREPROCESS, {"size": "big"}, "size"),
        (PREPROCESS, {"image_std": [0.5, 0, 0.5]}, "image_std.1"),
        (PREPROCESS, {"image_mean": [0.5, float("nan"), 0.5]}, "image_mean.1"),
        (PREPROCESS, {"pad_color": [0, 0, 256]}, "pad_color.2"),
        (CONFIG, {"embedding_dim": "8"}, "embedding_dim"),
        (CONFIG, {"logit_bias": 1}, "logit_bias"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path, name, changes, complaint):
    folder(tmp_path)
    edit(tmp_path / name, **changes)
    with pytest.raises(ModelFolderError, match=complaint):
        read_folder(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"model": 1}'])
def test_a_broken_json_is_named(tmp_path, content):
    folder(tmp_path)
    for name in (CONFIG, TOKENIZER):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelFolderError, match=name):
            read_folder(tmp_path)
        (tmp_path / name).write_bytes(whole)


def test_another_models_tokenizer_is_refused(tmp_path):
    folder(tmp_path)
    (tmp_path / TOKENIZER).write_bytes(Tokenizer.train(["other words"], 270, 12).to_bytes())
    with pytest.raises(ModelFolderError, match=r"tokens, config\.json says 300"):
        read_folder(tmp_path)


def test_the_fingerprint_tells_models_apart_and_ignores_their_names(tmp_path):
    original = folder(tmp_path).fingerprint
    edit(tmp_path / CONFIG, name="renamed")
    assert read_folder(tmp_path).fingerprint == original
    edit(tmp_path / PREPROCESS, pad_color=[0, 0, 0])
    repainted = read_folder(tmp_path).fingerprint
    assert repainted != original
    weights = load_file(tmp_path / WEIGHTS)
    weights["log_logit_scale"] = np.array(weights["log_logit_scale"] + 1)
    save_file(weights, tmp_path / WEIGHTS)
    assert read_folder(tmp_path).fingerprint not in {original, repainted}


def test_every_weight_that_does_not_fit_is_named(tmp_path):
    folder(tmp_path)
    weights = load_file(tmp_path / WEIGHTS)
    weights["stray"] = weights.pop("log_logit_scale")
    weights["image_projection.weight"] = weights["image_projection.weight"][:2].copy()
    save_file(weights, tmp_path / WEIGHTS)
    with pytest.raises(ModelFolderError) as caught:
        load(tmp_path, runtime="torch")
    for part in ("missing log_logit_scale", "unknown stray", "image_projection.weight is (2, 16), not (8, 16)"):
        assert part in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not safetensors at all", b"\x80\x04\x95"])
def test_weights_that_are_no_safetensors_are_refused(tmp_path, content):
    folder(tmp_path)
    (tmp_path / WEIGHTS).write_bytes(content)
    with pytest.raises(ModelFolderError, match="cannot be read"):
        load(tmp_path, runtime="torch")
