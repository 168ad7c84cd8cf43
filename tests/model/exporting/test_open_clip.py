"""A model of this house opens in open_clip itself with the same vectors, or an error says why it cannot."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from model.config import ModelConfig, TextConfig, TokenizationConfig, ViTConfig
from model.errors import ExportError
from model.exporting.open_clip import export_open_clip
from model.folder import read_folder, write_folder
from model.importing.checkpoint import Wishes, import_checkpoint
from model.layouts import openai
from model.layouts.rule import revert
from model.torch_runtime import read_model
from model.weights import read_tensors
from tests.model import tiny
from tests.model.importing.checkpoints import RESNET, TEXT, VIT, clip, huggingface, squares, weights

REFERENCE = Path(__file__).with_name("reference.py")
WORDS = ["A red apple", "rocket", "", "a volcano that is much longer than twelve tokens are"]
HERE = {"vocab_size": tiny.VOCABULARY, "context_length": tiny.CONTEXT, "eot_id": tiny.EOT}


def model(vision=VIT, text=TEXT, **changes):
    """The config of a model whose tokenizer was trained here."""
    text = text.model_copy(update=HERE)
    return clip(vision, text, **({"tokenization": {}} | changes))


def folder_of(path, config):
    preprocess = tiny.preprocess(size=config.vision.image_size, resize_mode="crop")
    return write_folder(path, config, preprocess, tiny.tokenizer(), weights(config), "# tiny\n")


GELU = {"activation": "gelu"}
MODELS = {
    "quick": model(),
    "gelu": model(VIT.model_copy(update=GELU | {"mlp_ratio": 2.51, "norm_eps": 1e-6}), TEXT.model_copy(update=GELU)),
    "mean-and-tanh": model(
        VIT.model_copy(update={"activation": "gelu_tanh", "pooling": "mean", "input_norm": False}),
        TEXT.model_copy(update=GELU),
    ),
    "resnet": model(RESNET, TEXT.model_copy(update=GELU)),
    "bidirectional": model(
        text=TEXT.model_copy(update={"attention": "bidirectional", "attends_padding": True}),
        tokenization={"padding": "context"},
        text_projection="affine",
    ),
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Folders here, each with its export and with what open_clip, in one process of its own, makes of words and pixels.

    Those of MODELS, and one that came from Hugging Face.
    """
    path = tmp_path_factory.mktemp("exported")
    huggingface(path / "there")
    folders = {name: folder_of(path / name, config) for name, config in MODELS.items()}
    folders["huggingface"], _ = import_checkpoint(str(path / "there"), path / "huggingface", Wishes())
    for name, folder in folders.items():
        out = path / f"{name}.out"
        written, _ = export_open_clip(folder, out)
        assert set(written) == set(out.iterdir())
        pixels = squares(3, folder.config.vision.image_size)
        np.savez(out / "inputs.npz", pixels=pixels, texts=np.array(WORDS))
    command = [sys.executable, REFERENCE, *path.glob("*.out")]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return {name: (folder, path / f"{name}.out") for name, folder in folders.items()}


@pytest.mark.parametrize("name", [*MODELS, "huggingface"])
@torch.inference_mode()
def test_open_clip_has_the_same_vectors(exported, name):
    folder, out = exported[name]
    ours, theirs = read_model(folder), np.load(out / "outputs.npz")
    ids, mask = (torch.from_numpy(array) for array in folder.tokenizer.encode(WORDS))
    pixels = torch.from_numpy(squares(3, folder.config.vision.image_size))
    np.testing.assert_allclose(ours.encode_image(pixels), theirs["images"], atol=1e-5)
    np.testing.assert_allclose(ours.encode_text(ids, mask), theirs["texts"], atol=1e-5)
    assert ours.log_logit_scale.exp().item() == pytest.approx(theirs["scale"].item(), rel=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_an_export_comes_back_as_it_was(exported, tmp_path, name):
    folder, out = exported[name]
    again, _ = import_checkpoint(str(out), tmp_path / "again", Wishes())
    assert again.weights.read_bytes() == folder.weights.read_bytes()
    assert again.preprocess == folder.preprocess
    back, there = (made.config.model_dump(exclude={"name"}) for made in (again, folder))
    for tower in ("vision", "text"):  # a width of the MLP that is a whole number, whatever the ratio says
        if "mlp_ratio" in there[tower]:
            assert back[tower].pop("mlp_ratio") == pytest.approx(there[tower].pop("mlp_ratio"), abs=0.01)
    assert back == there


def siglip(**changes):
    """A SigLIP of timm's smallest size: what it is called is all that timm knows of a tower."""
    vision = ViTConfig(
        image_size=224, patch_size=16, width=768, layers=12, heads=12, class_token=False, pooling="map", norm_eps=1e-6,
        **changes,
    )  # fmt: skip
    text = TextConfig(
        vocab_size=300, context_length=12, width=64, layers=1, heads=1, norm_eps=1e-6, attends_padding=True,
        pooling="last",
    )  # fmt: skip
    return ModelConfig(
        name="there",
        embedding_dim=768,
        vision=vision,
        text=text,
        tokenization=TokenizationConfig(cleaning="clip_canonical", padding="context", pad_id=0),
        image_projection="none",
        text_projection="affine",
        logit_bias=True,
    )


def test_a_siglip_is_called_by_timms_name():
    from model.exporting.open_clip import _model_cfg

    cfg = _model_cfg(siglip())
    assert cfg["vision_cfg"]["timm_model_name"] == "vit_base_patch16_siglip_224"
    assert cfg["text_cfg"]["tokenizer_kwargs"] == {"clean": "canonicalize"}
    with pytest.raises(ExportError, match="none of this size and activation"):
        _model_cfg(siglip(activation="gelu_tanh"))


def test_timms_names_are_read_backwards(tmp_path):
    """The tiny SigLIP of the tests, under the names that timm would have for its tensors."""
    folder = tiny.folder(tmp_path / "here", tiny.TOWERS["vit-map"], tiny.TEXTS["siglip"])
    config = folder.config.model_copy(update={"image_projection": "none"})
    own = {name: array for name, array in read_tensors(folder.weights).items() if "image_projection" not in name}
    there = revert(openai.rules(config, "text."), own)
    assert {name.split(".")[0] for name in there} == {"visual", "text", "logit_scale", "logit_bias"}
    assert there["visual.trunk.attn_pool.kv.weight"].shape == (32, 16)
    assert there["visual.trunk.blocks.0.attn.qkv.bias"].shape == (48,)
    from model.layouts.rule import convert

    back = convert(openai.rules(config, "text."), there)
    assert back.keys() == own.keys()
    for name, array in own.items():
        np.testing.assert_array_equal(back[name], array)


@pytest.mark.parametrize(
    ("vision", "text", "complaint"),
    [
        ("resnet", "clip", "no image tower of the kind resnet"),
        ("vit-clip", "gru", "no text tower of the kind gru"),
        ("vit-clip", "mean", "no model of the activations gelu and quick_gelu"),
        ("vit", "mean", "cannot be this one: patch_bias is True"),
        ("vit-map", "clip", "takes image towers with attention pooling from timm"),
    ],
)
def test_what_open_clip_has_no_words_for_is_named(tmp_path, vision, text, complaint):
    folder = tiny.folder(tmp_path / "here", tiny.TOWERS[vision], tiny.TEXTS[text])
    with pytest.raises(ExportError) as caught:
        export_open_clip(folder, tmp_path / "there")
    assert complaint in str(caught.value)
    assert not (tmp_path / "there").exists()


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"text": {"pooling": "mean", "eot_id": None}}, "pools one token"),
        ({"text": {"attention": "bidirectional"}}, "sees the padding"),
        ({"tokenization": {"cleaning": "lower"}}, "cannot clean texts as 'lower'"),
    ],
)
def test_texts_that_open_clip_would_read_otherwise_are_named(tmp_path, changes, complaint):
    from model.exporting.open_clip import _model_cfg

    config = model().model_dump()
    for section, values in changes.items():
        config[section] |= values
    with pytest.raises(ExportError, match=complaint):
        _model_cfg(ModelConfig.model_validate(config))


def test_pictures_are_padded_with_grey_only(tmp_path):
    folder_of(tmp_path / "here", model())
    file = tmp_path / "here" / "preprocessor_config.json"
    file.write_text(tiny.preprocess(resize_mode="pad", pad_color=(9, 9, 9)).model_dump_json())
    export_open_clip(read_folder(tmp_path / "here"), tmp_path / "there")
    assert json.loads((tmp_path / "there" / "open_clip_config.json").read_text())["preprocess_cfg"]["fill_color"] == 9
    file.write_text(tiny.preprocess(resize_mode="pad", pad_color=(9, 9, 8)).model_dump_json())
    with pytest.raises(ExportError, match="pads pictures with a grey"):
        export_open_clip(read_folder(tmp_path / "here"), tmp_path / "elsewhere")
