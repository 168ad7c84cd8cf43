"""Sequence to sequence: an encoder reads a source, a decoder writes the target token by token (Vaswani et al. 2017)."""

from functools import partial

import torch
from torch import Tensor, nn

from model.cache import DecoderCache
from model.config import Activation
from model.embedding import ContinuousEmbedding, Positions, TokenEmbedding
from model.transformer import OutputLayer, Transformer, padding_mask


class Seq2Seq(nn.Module):
    """Embeddings, positions and a Transformer; the output layer gives log-probabilities of the next token.

    `source_embedding` and `target_embedding` are of one width; `source_positions` and `target_positions`, learned or
    sinusoidal, say how long the sequences may be. B is the batch, S the source's length, T the target's, V the number
    of different target tokens. Masks are True on real tokens and False on padding.
    """

    def __init__(
        self,
        source_embedding: TokenEmbedding | ContinuousEmbedding,
        target_embedding: TokenEmbedding,
        source_positions: Positions,
        target_positions: Positions,
        layers: int,
        heads: int,
        mlp_ratio: float = 4.0,
        activation: Activation = "gelu",
        pre_norm: bool = True,
    ) -> None:
        super().__init__()
        width = target_embedding.width
        self.source_embedding = source_embedding
        self.target_embedding = target_embedding
        self.source_positions = source_positions
        self.target_positions = target_positions
        self.transformer = Transformer(width, layers, heads, mlp_ratio, activation, pre_norm=pre_norm)
        self.output = OutputLayer(width, target_embedding.vocab_size, partial(torch.log_softmax, dim=-1))

    def forward(
        self, source: Tensor, target: Tensor, source_mask: Tensor | None = None, target_mask: Tensor | None = None
    ) -> Tensor:
        """Log-probabilities (B, T, V) of the token that follows each of the target's ids (B, T).

        `source` is what `source_embedding` takes: ids (B, S), or real numbers (B, S, features). In training the target
        starts with the start token and lacks the end token, which is the last one to be predicted.
        """
        y = self.transformer(self._embed_source(source), self._embed_target(target), source_mask, target_mask)
        out: Tensor = self.output(y)
        return out

    def encode(self, source: Tensor, source_mask: Tensor | None = None) -> Tensor:
        """The source, read once for any number of targets: the decoder's memory (B, S, D)."""
        may_look = None if source_mask is None else padding_mask(source_mask)
        memory: Tensor = self.transformer.encoder(self._embed_source(source), may_look)
        return memory

    def empty_cache(self) -> DecoderCache:
        """A cache for a new batch of targets."""
        return DecoderCache.empty(len(self.transformer.decoder.blocks))

    def next_tokens(
        self, ids: Tensor, memory: Tensor, source_mask: Tensor | None = None, cache: DecoderCache | None = None
    ) -> Tensor:
        """`forward` from a memory: log-probabilities (B, T, V) of what follows each of the ids (B, T).

        With a `cache` the ids are those after the ones of earlier calls with it.
        """
        may_look = None if source_mask is None else padding_mask(source_mask)
        x = self._embed_target(ids, start=cache.tokens if cache is not None else 0)
        out: Tensor = self.output(self.transformer.decoder(x, memory, None, may_look, cache))
        return out

    def _embed_source(self, source: Tensor) -> Tensor:
        out: Tensor = self.source_positions(self.source_embedding(source))
        return out

    def _embed_target(self, ids: Tensor, start: int = 0) -> Tensor:
        out: Tensor = self.target_positions(self.target_embedding(ids), start)
        return out
