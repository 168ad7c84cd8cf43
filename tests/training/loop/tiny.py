"""Models and batches as small as they come, without any data on disk."""

from typing import Any

import torch

from model.clip import CLIP
from model.config import ModelConfig
from training.config import TrainingConfig
from training.data.batch import Batch
from training.loop.ranks import ALONE, Ranks
from training.loop.training import Training

VIT = {"kind": "vit", "image_size": 16, "patch_size": 4, "width": 16, "layers": 2, "heads": 2}
RESNET = {"kind": "resnet", "image_size": 16, "stem_width": 4, "stage_widths": [8, 8], "stage_depths": [1, 1]}
TEXT = {"kind": "transformer", "width": 16, "layers": 2, "heads": 2, "vocab_size": 40, "context_length": 8}


def tiny_config(vision: dict[str, Any] = VIT, optimizer: dict[str, Any] | None = None, **keys: Any) -> TrainingConfig:
    """Float32, gradients that are not clipped."""
    tree = {
        "steps": 10,
        "precision": "float32",
        "data": {"train": [{"path": "nowhere", "per_batch": 24}], "validation": "nowhere"},
        "model": {
            "name": "tiny",
            "embedding_dim": 8,
            "vision": vision,
            "text": TEXT,
            "preprocess": {"size": 16, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]},
        },
        "optimizer": {"warmup_steps": 0, "gradient_norm": 1e9} | (optimizer or {}),
    }
    return TrainingConfig.model_validate(tree | keys)


def tiny_model(config: TrainingConfig) -> CLIP:
    torch.manual_seed(0)
    parts = {"name": "tiny", "embedding_dim": 8, "vision": config.model.vision, "text": config.model.text.model_dump()}
    return CLIP(ModelConfig.model_validate(parts | {"logit_bias": config.loss == "sigmoid"}))


def tiny_training(config: TrainingConfig, ranks: Ranks = ALONE) -> Training:
    return Training(tiny_model(config), config, torch.device("cpu"), ranks)


def tiny_batch(pictures: int = 24, texts_each: int = 2, seed: int = 0) -> Batch:
    """Noise, with pairs of pictures of one concept."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (pictures, 3, 16, 16), generator=generator, dtype=torch.uint8)
    ids = torch.randint(1, 40, (pictures * texts_each, 8), generator=generator)
    mask = torch.arange(8) < torch.randint(1, 9, (len(ids), 1), generator=generator)
    concepts = torch.arange(pictures) // 2
    return Batch(pixels, ids, mask, concepts, concepts.repeat_interleave(texts_each))


def ignore(losses: dict[str, float], images: torch.Tensor, texts: torch.Tensor) -> None:
    """Nobody watches."""


def gradients(training: Training) -> dict[str, torch.Tensor]:
    return {name: p.grad.clone() for name, p in training.model.named_parameters() if p.grad is not None}


def assert_same_gradients(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    """Each to a millionth of the largest entry of all: what float32 keeps of sums over terms of that size."""
    assert one.keys() == other.keys()
    tolerance = 1e-6 * max(1.0, *(gradient.abs().max().item() for gradient in one.values()))
    for name, gradient in one.items():
        torch.testing.assert_close(other[name], gradient, rtol=0, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}")
