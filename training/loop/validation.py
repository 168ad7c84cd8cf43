"""Validation in the course of a run: label → picture retrieval."""

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from model.clip import CLIP
from model.tokenizer import Tokenizer
from training.config import StartSection, TrainingConfig
from training.data.bad import BadSamples
from training.data.batches import normalise
from training.data.drawings import load_drawings, load_fitted
from training.data.example import Example
from training.data.section import ColumnsSection
from training.evaluation.metrics import first_ranks, summary

_CHUNK = 256


class Validation:
    """The validation pictures, uint8 (n, 4, S, S) for each of the sizes at which they may be asked for.

    They are fitted in as the model is served with them: stretched, cut or padded.
    """

    def __init__(self, config: TrainingConfig, sizes: set[int], data: Path | None = None) -> None:
        """The pictures are those in `data`, or those of the configuration."""
        self._config = config
        self._examples: Sequence[Example] = ()
        self._drawings = {}
        path = data or config.data.validation
        for size in sizes:  # which of the pictures can be decoded is the same at each
            bad = BadSamples(tolerated=config.data.bad_share)
            if isinstance(config.model, StartSection) or config.model.preprocess.resize_mode != "pad":
                preprocess = config.model.preprocess.model_copy(update={"size": size})
                self._examples, self._drawings[size] = load_fitted(path, preprocess, ColumnsSection(), bad)
            else:
                self._examples, self._drawings[size] = load_drawings(path, size, ColumnsSection(), bad)
        if bad.summary:
            print(bad.summary, file=sys.stderr)

    @torch.no_grad()
    def measure(self, model: CLIP, tokenizer: Tokenizer, size: int, device: torch.device) -> dict[str, float]:
        """Recall and ranks of the pictures, over white, for one query a concept, its label."""
        labels = {example.concept: example.label for example in self._examples}
        ids, mask = (torch.from_numpy(array).to(device) for array in tokenizer.encode(list(labels.values())))
        chunks = zip(ids.split(_CHUNK), mask.split(_CHUNK), strict=True)
        preprocess = self._config.model.preprocess
        with torch.autocast(device.type, torch.bfloat16, enabled=self._config.precision == "bfloat16"):
            texts = torch.cat([model.encode_text(*chunk) for chunk in chunks])
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
