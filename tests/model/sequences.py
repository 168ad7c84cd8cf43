"""Small sequence models, for tests of what they compute and of how they write."""

import torch
from torch import Tensor, nn

from model.embedding import ContinuousEmbedding, LearnedPositions, SinusoidalPositions, TokenEmbedding
from model.seq2seq import Seq2Seq

START, END = 0, 1
FEATURES = 3
LONGEST = 12


def model(
    vocab: int = 6, *, width: int = 16, layers: int = 2, learned: bool = False, continuous: bool = False, seed: int = 0
) -> Seq2Seq:
    """Random weights, large enough for decided opinions on the next token."""
    torch.manual_seed(seed)
    positions = LearnedPositions if learned else SinusoidalPositions
    built = Seq2Seq(
        ContinuousEmbedding(FEATURES, width) if continuous else TokenEmbedding(vocab, width),
        TokenEmbedding(vocab, width),
        positions(LONGEST, width),
        positions(LONGEST, width),
        layers,
        heads=4,
    )
    nn.init.normal_(built.output.linear.weight, std=0.5)
    return built


def real(lengths: list[int]) -> Tensor:
    """The mask (B, S) of sources of these lengths, padded to the longest."""
    return torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
