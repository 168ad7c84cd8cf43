"""The same run with each text tower: how well it finds pictures after as many steps, and after as much time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.recurrent.speed import cpu_time
from benchmarks.recurrent.towers import parameters, towers
from benchmarks.timing import Timing
from model import load
from model.clip import CLIP
from model.config import ModelConfig, TextConfig
from training.config import TrainingConfig, read_config
from training.evaluation.evaluate import evaluate
from training.export import export_run
from training.loop.log import read_log
from training.loop.loss import contrastive_loss
from training.loop.run import Run

SPLITS = ("validation", "unseen-style", "unseen-concepts")
TOKENS = 12
"""Of the longest caption of a usual batch, which all others are padded to."""


def configurations(recipe: Path, overrides: Sequence[str] = ()) -> Mapping[str, TrainingConfig]:
    """The recipe, whose text tower is a Transformer, and the same with each recurrent tower."""
    base = read_config(recipe, overrides)
    reference = TextConfig.model_validate(base.model.text.model_dump())
    tree = base.model_dump()
    # the end of a text is known to a vocabulary, and a recipe has none yet
    texts = {name: text.model_dump(exclude={"eot_id"}) for name, text in towers(reference).items()}
    return {
        name: TrainingConfig.model_validate(tree | {"model": tree["model"] | {"text": text}})
        for name, text in texts.items()
    }


def run_folder(out: Path, name: str) -> Path:
    """Of a tower's run below `out`."""
    return out / name.lower().replace(", ", "-").replace(" ", "-")


def train(configurations: Mapping[str, TrainingConfig], out: Path) -> None:
    """Run each in its folder below `out`; a run that is complete is left as it is."""
    for name, config in configurations.items():
        folder = run_folder(out, name)
        if not folder.is_dir() or read_log(folder)[-1]["step"] < config.steps:
            Run(config, folder).train()


def outcomes(configurations: Mapping[str, TrainingConfig], out: Path) -> Mapping[str, Any]:
    """Tower → its size, its curve, and its text → picture retrieval on the splits beside the validation data."""
    found = {}
    for name, config in configurations.items():
        folder = run_folder(out, name)
        exported = export_run(folder, folder / "model")
        encoder = load(exported.path)
        data = config.data.validation.parent
        measured = {split: evaluate(encoder, data / split)[split]["text_to_picture"] for split in SPLITS}
        curve = [
            {"step": record["step"], **{f"R@{k}": record[f"validation_R@{k}"] for k in (1, 5, 10)}}
            for record in read_log(folder)
            if "validation_R@1" in record
        ]
        found[name] = {
            "width": config.model.text.width,
            "parameters": parameters(exported.config.text),
            "seconds_per_step": asdict(step_time(exported.config, config.data.batch_size)),
            "curve": curve,
            "splits": measured,
        }
    return found


def step_time(config: ModelConfig, batch: int, seconds: float = 4.0) -> Timing:
    """CPU time of both towers and the loss, forward and backward, in bfloat16 as in training, by one thread.

    Optimiser and augmentation, which are the same for all towers, are left out.
    """
    torch.manual_seed(0)
    model = CLIP(config)
    side = config.vision.image_size
    pixels = torch.randn(batch, 3, side, side).contiguous(memory_format=torch.channels_last)
    ids = torch.randint(config.text.vocab_size, (batch, TOKENS))
    mask, concepts = torch.ones_like(ids, dtype=torch.bool), torch.arange(batch)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            images, texts = model.encode_image(pixels), model.encode_text(ids, mask)
        loss = contrastive_loss(images.float(), texts.float(), concepts, concepts, model.log_logit_scale.exp())
        model.zero_grad()
        loss.backward()

    return cpu_time(step, seconds)
