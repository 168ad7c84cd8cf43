"""Tiny models with random weights, for tests of everything that does not depend on what was learned."""

from pathlib import Path

import numpy as np
import torch

from model.clip import CLIP
from model.config import (
    HybridConfig,
    ModelConfig,
    ModifiedResNetConfig,
    PreprocessConfig,
    RecurrentTextConfig,
    ResNetConfig,
    TextConfig,
    TextTowerConfig,
    TokenizationConfig,
    VisionConfig,
    ViTConfig,
)
from model.folder import ModelFolder, write_folder
from model.tokenizer import Tokenizer

WORDS = ["a red apple", "a green pear", "flag of Japan", "a cat with heart eyes", "a volcano", "rocket"]
SIZE = 16
VOCABULARY, CONTEXT, EOT = 300, 12, 2
TOWERS: dict[str, VisionConfig] = {
    "vit": ViTConfig(image_size=SIZE, patch_size=8, width=16, layers=2, heads=2),
    "vit-clip": ViTConfig(
        image_size=SIZE, patch_size=4, width=16, layers=2, heads=2, patch_bias=False, input_norm=True,
        activation="quick_gelu",
    ),
    "vit-mean": ViTConfig(image_size=SIZE, patch_size=7, width=16, layers=1, heads=2, pooling="mean"),
    "vit-map": ViTConfig(
        image_size=SIZE, patch_size=8, width=16, layers=2, heads=2, class_token=False, pooling="map",
        activation="gelu_tanh", norm_eps=1e-6,
    ),
    "resnet": ResNetConfig(image_size=SIZE, stem_width=8, stage_widths=(8, 16), stage_depths=(1, 1)),
    "hybrid": HybridConfig(
        image_size=SIZE, stem_width=8, stage_widths=(8, 16), stage_depths=(1, 1), width=16, layers=1, heads=2
    ),
    "modified_resnet": ModifiedResNetConfig(
        image_size=64, width=4, stage_depths=(1, 2, 1, 1), heads=4, output_width=16
    ),
}  # fmt: skip
TEXTS: dict[str, TextTowerConfig] = {
    "mean": TextConfig(vocab_size=VOCABULARY, context_length=CONTEXT, width=16, layers=1, heads=2),
    "clip": TextConfig(
        vocab_size=VOCABULARY, context_length=CONTEXT, width=16, layers=2, heads=2, activation="quick_gelu",
        attention="causal", pooling="first_eot", eot_id=EOT,
    ),
    "siglip": TextConfig(
        vocab_size=VOCABULARY, context_length=CONTEXT, width=16, layers=2, heads=2, activation="gelu_tanh",
        norm_eps=1e-6, attends_padding=True, pooling="last",
    ),
    "lstm": RecurrentTextConfig(kind="lstm", vocab_size=VOCABULARY, context_length=CONTEXT, width=16, layers=2),
    "gru": RecurrentTextConfig(
        kind="gru", vocab_size=VOCABULARY, context_length=CONTEXT, width=16, layers=2, bidirectional=True
    ),
}  # fmt: skip


def config(vision: VisionConfig = TOWERS["resnet"], text: TextTowerConfig = TEXTS["mean"]) -> ModelConfig:
    """A SigLIP if the text tower is SigLIP's, else a CLIP."""
    siglip = isinstance(text, TextConfig) and text.reads_padding
    return ModelConfig(
        name="tiny",
        embedding_dim=8,
        vision=vision,
        text=text,
        tokenization=TokenizationConfig(padding="context" if siglip else "longest"),
        text_projection="affine" if siglip else "linear",
        logit_bias=siglip,
    )


def tokenizer(context_length: int = CONTEXT) -> Tokenizer:
    return Tokenizer.train(WORDS, VOCABULARY, context_length)


def preprocess(**changes: object) -> PreprocessConfig:
    values = {"size": SIZE, "image_mean": (0.5, 0.5, 0.5), "image_std": (0.25, 0.25, 0.25)}
    return PreprocessConfig.model_validate(values | changes)


def folder(
    path: Path,
    vision: VisionConfig = TOWERS["resnet"],
    text: TextTowerConfig = TEXTS["mean"],
    seed: int = 0,
) -> ModelFolder:
    """A model folder with random weights, batch statistics included."""
    torch.manual_seed(seed)
    model = CLIP(config(vision, text)).train()
    model.encode_image(torch.randn(8, 3, vision.image_size, vision.image_size))  # gives BatchNorm what to average
    weights = {
        name: value.numpy().astype(np.float16) if value.is_floating_point() else value.numpy()
        for name, value in model.state_dict().items()
    }
    made = preprocess(size=vision.image_size)
    return write_folder(path, config(vision, text), made, tokenizer(), weights, "# tiny\n")
