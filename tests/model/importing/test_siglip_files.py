"""SigLIP in open_clip's form: an image tower in timm's names, whose sizes go by a name, and a text tower by itself."""

import json

import numpy as np
import pytest
import torch

from model.config import TokenizationConfig
from model.errors import ForeignCheckpointError
from model.importing.checkpoint import Wishes, import_checkpoint
from model.importing.open_clip_config import OpenClipConfig, timm_activation
from model.layouts import openai
from model.layouts.rule import revert
from model.torch_runtime import read_model
from tests.model.importing.checkpoints import CONTEXT, SIGLIP_TOKENS, weights, write_siglip_vocabulary

TINY = {"width": 16, "layers": 2, "heads": 2, "mlp_ratio": 2.5}
CFG = {
    "embed_dim": 16,
    "init_logit_bias": -10,
    "custom_text": True,
    "vision_cfg": {
        "image_size": 16, "timm_model_name": "vit_tiny_patch8_siglip_16", "timm_model_pretrained": False,
        "timm_pool": "map", "timm_proj": "none",
    },
    "text_cfg": {
        "context_length": CONTEXT, "vocab_size": len(SIGLIP_TOKENS), "hf_tokenizer_name": "timm/tiny",
        "tokenizer_kwargs": {"clean": "canonicalize"}, "width": 24, "heads": 2, "layers": 2, "mlp_ratio": 2.51,
        "no_causal_mask": True, "proj_bias": True, "pool_type": "last", "norm_kwargs": {"eps": 1e-6},
    },
}  # fmt: skip


@pytest.fixture(autouse=True)
def _timm_has_a_tiny_size(monkeypatch):
    sizes = {"tiny": TINY}
    monkeypatch.setattr("model.importing.open_clip_config.TIMM_SIZES", sizes)


def written(path, cfg=CFG):
    """A state dict with this config's names; returns the model's config and its weights under the names here."""
    tokenization = TokenizationConfig(cleaning="clip_canonical", padding="context")
    config = OpenClipConfig(cfg, "").build("there", False, tokenization, 1, has_bias=True)
    made = weights(config)
    tensors = revert(openai.rules(config, "text."), made)
    torch.save({name: torch.from_numpy(np.array(value, order="C")) for name, value in tensors.items()}, path)
    return config, made


def test_a_file_with_a_config_becomes_the_model(tmp_path):
    config, made = written(tmp_path / "there.pt")
    write_siglip_vocabulary(tmp_path / "vocabulary")
    (tmp_path / "cfg.json").write_text(json.dumps(CFG | {"quick_gelu": False}))
    wishes = Wishes(architecture=str(tmp_path / "cfg.json"), tokenizer=tmp_path / "vocabulary")
    folder, _ = import_checkpoint(str(tmp_path / "there.pt"), tmp_path / "here", wishes)
    assert folder.config == config
    assert folder.config.vision.pooling == "map"
    assert folder.config.text.mlp_ratio == 60 / 24
    assert folder.preprocess.resize_mode == "squash"
    read = read_model(folder).state_dict()
    assert read.keys() == made.keys()
    for name, value in made.items():
        np.testing.assert_array_equal(read[name], value)


def test_it_needs_its_vocabulary(tmp_path):
    written(tmp_path / "there.pt")
    (tmp_path / "cfg.json").write_text(json.dumps(CFG | {"quick_gelu": False}))
    with pytest.raises(ForeignCheckpointError, match="--tokenizer"):
        import_checkpoint(
            str(tmp_path / "there.pt"), tmp_path / "here", Wishes(architecture=str(tmp_path / "cfg.json"))
        )


def test_a_bias_that_is_missing_is_named(tmp_path):
    written(tmp_path / "there.pt")
    tensors = torch.load(tmp_path / "there.pt", weights_only=True)
    del tensors["logit_bias"]
    torch.save(tensors, tmp_path / "there.pt")
    write_siglip_vocabulary(tmp_path / "vocabulary")
    (tmp_path / "cfg.json").write_text(json.dumps(CFG | {"quick_gelu": False}))
    wishes = Wishes(architecture=str(tmp_path / "cfg.json"), tokenizer=tmp_path / "vocabulary")
    with pytest.raises(ForeignCheckpointError, match=r"missing \(1\): logit_bias"):
        import_checkpoint(str(tmp_path / "there.pt"), tmp_path / "here", wishes)


@pytest.mark.parametrize(
    ("timm", "activation"),
    [
        ("vit_base_patch16_siglip_224", "gelu"),
        ("vit_base_patch32_siglip_256", "gelu_tanh"),
        ("vit_large_patch16_siglip_384", "gelu"),
        ("vit_large_patch16_siglip_512", "gelu_tanh"),
        ("vit_so400m_patch14_siglip_384", "gelu"),
        ("vit_so400m_patch16_siglip_256", "gelu_tanh"),
        ("vit_giantopt_patch16_siglip_384", "gelu_tanh"),
    ],
)
def test_timm_has_two_gelus(timm, activation):
    assert timm_activation(timm) == activation
