"""CLIPs of random weights that both sides load: ours with the files of its fast runtime, theirs in open_clip's layout.

The image tower is a stub, since words are what is searched for; the text towers have the sizes of models people use.
"""

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

_TOKENIZATION = TokenizationConfig(cleaning="clip")
_VOCABULARY = 49_408
_MEAN, _DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_IMAGE = ViTConfig(
    image_size=32,
    patch_size=32,
    width=64,
    layers=1,
    heads=1,
    patch_bias=False,
    input_norm=True,
)


def _text(width: int, layers: int, heads: int, mlp_ratio: float, context_length: int) -> TextConfig:
    return TextConfig(
        width=width,
        layers=layers,
        heads=heads,
        mlp_ratio=mlp_ratio,
        vocab_size=_VOCABULARY,
        context_length=context_length,
        attention="causal",
        pooling="first_eot",
        eot_id=_VOCABULARY - 1,
    )


TOWERS = {
    "small": (256, _text(width=256, layers=3, heads=4, mlp_ratio=3, context_length=32)),
    "vit-b-32": (512, _text(width=512, layers=12, heads=8, mlp_ratio=4, context_length=77)),
}
"""Embedding size and text tower. `small` is as large as the shipped model's, whose form open_clip does not know."""


def write_models(name: str, ours: Path, theirs: Path) -> None:
    """One of the towers with weights of its own, in both layouts."""
    dim, text = TOWERS[name]
    config = ModelConfig(
        name=name, embedding_dim=dim, vision=_IMAGE, text=text, tokenization=_TOKENIZATION, image_projection="linear"
    )
    preprocess = PreprocessConfig(size=_IMAGE.image_size, image_mean=_MEAN, image_std=_DEVIATION, resize_mode="crop")
    tokenizer = Tokenizer.from_bytes(clip_tokenizer_json(None), text.context_length, _TOKENIZATION)
    torch.manual_seed(0)
    weights = {key: value.numpy() for key, value in CLIP(config).state_dict().items()}
    folder = write_folder(ours, config, preprocess, tokenizer, weights, f"# {name}, of random weights\n")
    export_onnx(folder)
    export_open_clip(folder, theirs)
