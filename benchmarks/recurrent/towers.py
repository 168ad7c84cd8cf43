"""The text towers that are compared: of one size, whatever they are made of."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from model.clip import text_tower
from model.config import RecurrentTextConfig, TextConfig, TextTowerConfig

TRANSFORMER = "Transformer"
RECURRENT: Mapping[str, tuple[str, bool]] = {
    "LSTM": ("lstm", False),
    "GRU": ("gru", False),
    "LSTM, both ways": ("lstm", True),
    "GRU, both ways": ("gru", True),
}
"""Name → (kind, whether a second one reads from the end)."""
NAMES = (TRANSFORMER, *RECURRENT)
_WIDTH_STEP = 4
"""Widths are multiples of it, which suits matrix products; parameters still come within 3 % of the reference."""


def towers(reference: TextConfig) -> dict[str, TextTowerConfig]:
    """`reference` and, as deep as it is, the recurrent towers whose width brings them nearest to its parameters."""
    target = parameters(reference)
    return {TRANSFORMER: reference} | {
        name: min(_widths(reference, kind, bidirectional), key=lambda config: abs(parameters(config) - target))
        for name, (kind, bidirectional) in RECURRENT.items()
    }


def parameters(config: TextTowerConfig) -> int:
    """Of a tower, token embedding and all; no memory is taken to count them."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in text_tower(config).parameters())


def _widths(reference: TextConfig, kind: str, bidirectional: bool) -> list[TextTowerConfig]:
    widths = range(_WIDTH_STEP, 2 * reference.width, _WIDTH_STEP)
    return [
        RecurrentTextConfig.model_validate(
            {
                "kind": kind,
                "width": width,
                "layers": reference.layers,
                "bidirectional": bidirectional,
                "vocab_size": reference.vocab_size,
                "context_length": reference.context_length,
            }
        )
        for width in widths
    ]
