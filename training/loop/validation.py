"""Validation in the course of a run: label → picture retrieval."""

from collections.abc import Sequence

import torch
from torch import Tensor

from model.clip import CLIP
from model.tokenizer import Tokenizer
from training.config import TrainingConfig
from training.data.bad import BadSamples
from training.data.batches import normalise
from training.data.drawings import load_drawings
from training.data.example import Example
from training.data.section import ColumnsSection
from training.evaluation.metrics import first_ranks, summary

_CHUNK = 256


class Validation:
    """The validation pictures, uint8 (n, 4, S, S) for each of the sizes at which they may be asked for."""

    def __init__(self, config: TrainingConfig, sizes: set[int]) -> None:
        self._config = config
        self._examples: Sequence[Example] = ()
        self._drawings = {}
        for size in sizes:  # which of the pictures can be decoded is the same at each
            bad = BadSamples(tolerated=config.data.bad_share)
            self._examples, self._drawings[size] = load_drawings(config.data.validation, size, ColumnsSection(), bad)

    @torch.no_grad()
    def measure(self, model: CLIP, tokenizer: Tokenizer, size: int, device: torch.device) -> dict[str, float]:
        """Recall and ranks of the pictures, over white, for one query a concept, its label."""
        labels = {example.concept: example.label for example in self._examples}
        ids, mask = (torch.from_numpy(array).to(device) for array in tokenizer.encode(list(labels.values())))
        preprocess = self._config.model.preprocess
        with torch.autocast(device.type, torch.bfloat16, enabled=self._config.precision == "bfloat16"):
            texts = model.encode_text(ids, mask)
            pictures = [
                model.encode_image(normalise(over_white(part.to(device)), preprocess))
                for part in self._drawings[size].split(_CHUNK)
            ]
        concepts = [example.concept for example in self._examples]
        found = first_ranks(
            texts.float().cpu().numpy(), torch.cat(pictures).float().cpu().numpy(), list(labels), concepts
        )
        return summary(found)


def over_white(drawings: Tensor) -> Tensor:
    """Drawings (B, 4, S, S) in uint8, their colour multiplied by alpha → (B, 3, S, S) in 0 … 1."""
    layers = drawings.float() / 255
    return layers[:, :3] + (1 - layers[:, 3:])
