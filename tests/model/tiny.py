"""Tiny models with random weights, for tests of everything that does not depend on what was learned."""

from pathlib import Path

import numpy as np
import torch

from model.clip import CLIP
from model.config import HybridConfig, ModelConfig, PreprocessConfig, ResNetConfig, TextConfig, VisionConfig, ViTConfig
from model.folder import ModelFolder, write_folder
from model.tokenizer import Tokenizer

WORDS = ["a red apple", "a green pear", "flag of Japan", "a cat with heart eyes", "a volcano", "rocket"]
SIZE = 16
TOWERS: dict[str, VisionConfig] = {
    "vit": ViTConfig(image_size=SIZE, patch_size=8, width=16, layers=2, heads=2),
    "resnet": ResNetConfig(image_size=SIZE, stem_width=8, stage_widths=(8, 16), stage_depths=(1, 1)),
    "hybrid": HybridConfig(
        image_size=SIZE, stem_width=8, stage_widths=(8, 16), stage_depths=(1, 1), width=16, layers=1, heads=2
    ),
}


def tokenizer(context_length: int = 12) -> Tokenizer:
    return Tokenizer.train(WORDS, 300, context_length)


def config(vision: VisionConfig = TOWERS["resnet"], vocab_size: int = 300) -> ModelConfig:
    text = TextConfig(width=16, layers=1, heads=2, vocab_size=vocab_size, context_length=12)
    return ModelConfig(name="tiny", embedding_dim=8, vision=vision, text=text)


def preprocess(**changes: object) -> PreprocessConfig:
    values = {"size": SIZE, "image_mean": (0.5, 0.5, 0.5), "image_std": (0.25, 0.25, 0.25)}
    return PreprocessConfig.model_validate(values | changes)


def folder(path: Path, vision: VisionConfig = TOWERS["resnet"], seed: int = 0) -> ModelFolder:
    """A model folder with random weights, batch statistics included."""
    torch.manual_seed(seed)
    tokens = tokenizer()
    model = CLIP(config(vision, tokens.vocab_size)).train()
    model.encode_image(torch.randn(8, 3, SIZE, SIZE))  # gives BatchNorm something to have averaged
    weights = {
        name: value.numpy().astype(np.float16) if value.is_floating_point() else value.numpy()
        for name, value in model.state_dict().items()
    }
    return write_folder(path, config(vision, tokens.vocab_size), preprocess(), tokens, weights, "# tiny\n")
