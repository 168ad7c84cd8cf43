"""A small CLIP of random weights that other projects can load, which lack the form of the shipped model."""

from __future__ import annotations

from pathlib import Path

import torch

from model.clip import CLIP
from model.config import ModelConfig, PreprocessConfig, TextConfig, TokenizationConfig, ViTConfig
from model.export import export_onnx
from model.exporting.open_clip import export_open_clip
from model.folder import write_folder
from model.tokenizer import Tokenizer
from model.vocabulary import clip_tokenizer_json

_VOCABULARY = 49_408
_MEAN, _DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_IMAGE = ViTConfig(image_size=32, patch_size=32, width=64, layers=1, heads=1, patch_bias=False, input_norm=True)
_TEXT = TextConfig(
    width=256,
    layers=3,
    heads=4,
    mlp_ratio=3,
    vocab_size=_VOCABULARY,
    context_length=32,
    attention="causal",
    pooling="first_eot",
    eot_id=_VOCABULARY - 1,
)


def write_small_model(ours: Path, theirs: Path) -> None:
    """In our form, with the files of the fast runtime, and in open_clip's layout."""
    tokenization = TokenizationConfig(cleaning="clip")
    config = ModelConfig(
        name="small", embedding_dim=256, vision=_IMAGE, text=_TEXT, tokenization=tokenization, image_projection="linear"
    )
    preprocess = PreprocessConfig(size=_IMAGE.image_size, image_mean=_MEAN, image_std=_DEVIATION, resize_mode="crop")
    tokenizer = Tokenizer.from_bytes(clip_tokenizer_json(None), _TEXT.context_length, tokenization)
    torch.manual_seed(0)
    weights = {key: value.numpy() for key, value in CLIP(config).state_dict().items()}
    folder = write_folder(ours, config, preprocess, tokenizer, weights, "# A small model of random weights\n")
    export_onnx(folder)
    export_open_clip(folder, theirs)
