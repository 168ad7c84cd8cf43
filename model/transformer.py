"""The Transformer, from scratch ("Attention Is All You Need", Vaswani et al. 2017; pre-norm after Xiong et al. 2020).

Shape suffixes used below:

    B  batch          T  query tokens        S  key/value tokens
    D  model width    H  heads               K  width of one head (D = H · K)
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

MASKED = -1e9
"""Added to a score to switch a key off; finite, so that a row without any key stays a number."""


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Scaled dot-product attention, softmax(Q Kᵀ / √K) V (Vaswani et al. 2017, equation 1), as it is written.

    `q` is (B, H, T, K), `k` and `v` are (B, H, S, K); `mask`, broadcastable to (B, H, T, S), is True where a query may
    look. Returns (B, H, T, K). This is the definition; `batched_attention` and `fused_attention` must equal it.
    """
    scores_BHTS = torch.einsum("bhtk,bhsk->bhts", q, k) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores_BHTS = scores_BHTS + MASKED * (~mask).to(scores_BHTS.dtype)
    weights_BHTS = scores_BHTS.softmax(dim=-1)
    return torch.einsum("bhts,bhsk->bhtk", weights_BHTS, v)


def batched_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """`attention` as two batched matrix products, the queries scaled before the first: fastest for training on a CPU.

    Under bfloat16 autocast at tens of tokens its backward takes a fraction of the fused kernel's.
    """
    scores_BHTS = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    if mask is not None:
        scores_BHTS = scores_BHTS + MASKED * (~mask).to(scores_BHTS.dtype)
    weights_BHTS: Tensor = scores_BHTS.softmax(dim=-1)
    return weights_BHTS @ v


def fused_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """`attention` by PyTorch's fused kernel, which never holds the (T, S) scores: fastest without gradients."""
    y_BHTK: Tensor = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return y_BHTK


class MultiHeadAttention(nn.Module):
    """Several attentions side by side on slices of the width, joined by an output projection.

    `forward(x)` is self-attention of x (B, T, D); `forward(x, context)` is cross-attention, with keys and values from
    context (B, S, D). `mask`, broadcastable to (B, H, T, S), is True where a query may look. Returns (B, T, D).
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} is not divisible by {heads} heads")
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        context = x if context is None else context
        q, k, v = (self._split(part) for part in (self.query(x), self.key(context), self.value(context)))
        attend = batched_attention if torch.is_grad_enabled() else fused_attention
        y_BHTK = attend(q, k, v, mask)
        y_BTD = y_BHTK.transpose(1, 2).flatten(2)
        out: Tensor = self.output(y_BTD)
        return out

    def _split(self, x: Tensor) -> Tensor:
        heads: Tensor = x.unflatten(-1, (self.heads, -1))
        return heads.transpose(1, 2)  # (B, T, D) → (B, H, T, K)


class MLP(nn.Module):
    """Two linear layers with an activation between them, applied to each token by itself: (B, T, D) → (B, T, D)."""

    def __init__(self, width: int, hidden: int, activation: Callable[[Tensor], Tensor] = functional.gelu) -> None:
        super().__init__()
        self.expand = nn.Linear(width, hidden)
        self.contract = nn.Linear(hidden, width)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.contract(self.activation(self.expand(x)))
        return out


class EncoderBlock(nn.Module):
    """Self-attention, then the MLP, each added to its input (residual) and normalised before (pre-norm)."""

    def __init__(self, width: int, heads: int, mlp_ratio: float = 4.0) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = MultiHeadAttention(width, heads)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = MLP(width, round(width * mlp_ratio))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = x + self.attention(self.attention_norm(x), mask=mask)
        out: Tensor = x + self.mlp(self.mlp_norm(x))
        return out


class Encoder(nn.Module):
    """`layers` encoder blocks and a last layer norm (pre-norm leaves the residual stream unnormalised)."""

    def __init__(self, width: int, layers: int, heads: int, mlp_ratio: float = 4.0) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(EncoderBlock(width, heads, mlp_ratio) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        # GPT-2's initialisation: residual branches shrink with depth, so that the stream's variance does not grow.
        for name, parameter in self.named_parameters():
            if name.endswith(("output.weight", "contract.weight")):
                nn.init.normal_(parameter, std=width**-0.5 * (2 * layers) ** -0.5)
            elif parameter.ndim == 2:
                nn.init.normal_(parameter, std=width**-0.5)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        for block in self.blocks:
            x = block(x, mask)
        out: Tensor = self.norm(x)
        return out
