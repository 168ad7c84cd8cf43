"""The key–value cache of decoding: what attention has projected once is not projected again for the next token."""

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(slots=True)
class KeyValueCache:
    """The keys and values that one attention has seen, (B, H, S, K) each; None before the first."""

    keys: Tensor | None = None
    values: Tensor | None = None

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of all tokens so far, of which these (B, H, T, K) are the last."""
        if self.keys is not None and self.values is not None:
            keys, values = torch.cat([self.keys, keys], dim=2), torch.cat([self.values, values], dim=2)
        self.keys, self.values = keys, values
        return keys, values

    def select(self, rows: Tensor) -> None:
        """Go on with these rows (B) of the batch: some perhaps several times, others no more."""
        if self.keys is not None and self.values is not None:
            self.keys, self.values = self.keys[rows], self.values[rows]


@dataclass(slots=True)
class BlockCache:
    """What a decoder block has seen: the target's tokens so far, and the memory, which stays the same."""

    target: KeyValueCache = field(default_factory=KeyValueCache)
    memory: KeyValueCache = field(default_factory=KeyValueCache)


@dataclass(slots=True)
class DecoderCache:
    """What a decoder has seen of its target and memory, block by block."""

    blocks: list[BlockCache]

    @classmethod
    def empty(cls, layers: int) -> "DecoderCache":
        return cls([BlockCache() for _ in range(layers)])

    @property
    def tokens(self) -> int:
        """How many tokens of the target it holds."""
        keys = self.blocks[0].target.keys
        return 0 if keys is None else keys.shape[2]

    def select(self, rows: Tensor) -> None:
        """Let each row of the batch go on from the target of another one (B) that has the same memory."""
        for block in self.blocks:
            block.target.select(rows)
