"""Looking into a model while it runs: what each attention was given, and how it weighted it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from model.transformer import MASKED, MultiHeadAttention


@dataclass(frozen=True, slots=True)
class Look:
    """One call of one attention: queries and keys (B, H, T or S, K), values, scaled scores and weights (B, H, T, S)."""

    queries: Tensor
    keys: Tensor
    values: Tensor
    scores: Tensor
    weights: Tensor

    @property
    def answers(self) -> Tensor:
        """Of each head (B, H, T, K), before the heads are joined."""
        return self.weights @ self.values


@contextmanager
def watched(*attentions: nn.Module) -> Iterator[list[Look]]:
    """A list to which every call of these attentions adds what happened, in the order of the calls.

    The fast ways to compute attention hold no weights, so they are computed again by the definition; what follows from
    them has to be what the attention returned.
    """
    looks: list[Look] = []

    def note(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], out: Tensor) -> None:
        if not isinstance(module, MultiHeadAttention):
            raise TypeError(f"{type(module).__name__} is no attention")
        given = dict(zip(("x", "context", "mask"), args, strict=False)) | kwargs
        x, context, mask = given["x"], given.get("context"), given.get("mask")
        source = x if context is None else context
        q, k, v = (
            linear(tokens).unflatten(-1, (module.heads, -1)).transpose(1, 2)
            for linear, tokens in ((module.query, x), (module.key, source), (module.value, source))
        )
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
        if mask is not None:
            scores = scores + MASKED * (~mask).to(scores.dtype)
        look = Look(q, k, v, scores, scores.softmax(dim=-1))
        torch.testing.assert_close(module.output(look.answers.transpose(1, 2).flatten(2)), out, atol=1e-4, rtol=1e-3)
        looks.append(look)

    hooks = [attention.register_forward_hook(note, with_kwargs=True) for attention in attentions]
    try:
        with torch.no_grad():
            yield looks
    finally:
        for hook in hooks:
            hook.remove()
