"""The Transformer, from scratch ("Attention Is All You Need", Vaswani et al. 2017; pre-norm after Xiong et al. 2020).

From one attention to an encoder and a decoder, in the order in which they build on each other. Shape suffixes:

    B  batch          T  query tokens        S  key/value tokens
    D  model width    H  heads               K  width of one head (D = H · K)
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.cache import BlockCache, DecoderCache, KeyValueCache
from model.config import Activation

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
    """`attention` as two batched matrix products, the queries scaled before the first.

    In bfloat16 on a CPU its backward takes a fraction of the fused kernel's time.
    """
    scores_BHTS = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    if mask is not None:
        scores_BHTS = scores_BHTS + MASKED * (~mask).to(scores_BHTS.dtype)
    weights_BHTS: Tensor = scores_BHTS.softmax(dim=-1)
    return weights_BHTS @ v


def fused_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """`attention` by PyTorch's fused kernel, which never holds all (T, S) scores: as fast or faster elsewhere."""
    y_BHTK: Tensor = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return y_BHTK


def padding_mask(real: Tensor) -> Tensor:
    """Which keys any query may look at, (B, 1, 1, S), from which tokens are `real` and not padding (B, S)."""
    return real[:, None, None, :]


def causal_mask(queries: int, keys: int, device: torch.device | None = None) -> Tensor:
    """Which keys each query may look at without seeing the future: (T, S), True up to the query's own place.

    The queries are the last `queries` of the `keys` tokens, as when the first ones are remembered from before.
    """
    return torch.ones(queries, keys, dtype=torch.bool, device=device).tril(keys - queries)


class MultiHeadAttention(nn.Module):
    """Several attentions side by side on slices of the width, joined by an output projection.

    `forward(x)` is self-attention of x (B, T, D); `forward(x, context)` is cross-attention, with keys and values from
    context (B, S, D). `mask`, broadcastable to (B, H, T, S), is True where a query may look. Returns (B, T, D).

    With a `cache`, self-attention also looks at all tokens of earlier calls (S counts them), and cross-attention
    projects its context in the first call only: later calls must give the same one.
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

    def forward(
        self,
        x: Tensor,
        context: Tensor | None = None,
        mask: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        q_BHTK = self._split(self.query(x))
        if context is not None and cache is not None and cache.keys is not None and cache.values is not None:
            k_BHSK, v_BHSK = cache.keys, cache.values  # the context's, projected in the first call
        else:
            source = x if context is None else context
            k_BHSK, v_BHSK = self._split(self.key(source)), self._split(self.value(source))
            if cache is not None:
                k_BHSK, v_BHSK = cache.append(k_BHSK, v_BHSK)
        # As benchmarks/attention.py measures it. An exported graph has no kernel, and is shorter made of products.
        avoids_kernel = (q_BHTK.is_cpu and q_BHTK.dtype == torch.bfloat16) or torch.compiler.is_exporting()
        attend = batched_attention if avoids_kernel else fused_attention
        y_BTD = attend(q_BHTK, k_BHSK, v_BHSK, mask).transpose(1, 2).flatten(2)
        out: Tensor = self.output(y_BTD)
        return out

    def _split(self, x: Tensor) -> Tensor:
        heads: Tensor = x.unflatten(-1, (self.heads, -1))
        return heads.transpose(1, 2)  # (B, T, D) → (B, H, T, K)


def quick_gelu(x: Tensor) -> Tensor:
    """x · sigmoid(1.702 x), the GELU's cheap approximation (Hendrycks and Gimpel 2016) that CLIP was trained with."""
    return x * torch.sigmoid(1.702 * x)


def gelu_tanh(x: Tensor) -> Tensor:
    """The GELU's close approximation by a tanh (Hendrycks and Gimpel 2016), which SigLIP was trained with."""
    return functional.gelu(x, approximate="tanh")


ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "gelu_tanh": gelu_tanh,
    "quick_gelu": quick_gelu,
    "relu": functional.relu,
}


class MLP(nn.Module):
    """Two linear layers with an activation between them, applied to each token by itself: (B, T, D) → (B, T, D)."""

    def __init__(self, width: int, hidden: int, activation: Activation = "gelu") -> None:
        super().__init__()
        self.expand = nn.Linear(width, hidden)
        self.contract = nn.Linear(hidden, width)
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.contract(self.activation(self.expand(x)))
        return out


class EncoderBlock(nn.Module):
    """Self-attention, then the MLP, each added to its input (residual): (B, T, D) → (B, T, D).

    Layer norm stands before each of them (pre-norm, which trains at any depth), or after each sum (post-norm, as in
    the original paper). `mask` is as in `MultiHeadAttention`.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        mlp_ratio: float = 4.0,
        activation: Activation = "gelu",
        norm_eps: float = 1e-5,
        pre_norm: bool = True,
    ) -> None:
        super().__init__()
        self.pre_norm = pre_norm
        self.attention_norm = nn.LayerNorm(width, norm_eps)
        self.attention = MultiHeadAttention(width, heads)
        self.mlp_norm = nn.LayerNorm(width, norm_eps)
        self.mlp = MLP(width, round(width * mlp_ratio), activation)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if self.pre_norm:
            x = x + self.attention(self.attention_norm(x), mask=mask)
            x = x + self.mlp(self.mlp_norm(x))
        else:
            x = self.attention_norm(x + self.attention(x, mask=mask))
            x = self.mlp_norm(x + self.mlp(x))
        return x


def _initialise(stack: nn.Module, width: int, branches: int) -> None:
    """GPT-2's initialisation: residual branches shrink with their number, so that their sum keeps its variance."""
    for name, parameter in stack.named_parameters():
        if name.endswith(("output.weight", "contract.weight")):
            nn.init.normal_(parameter, std=width**-0.5 * branches**-0.5)
        elif parameter.ndim == 2:
            nn.init.normal_(parameter, std=width**-0.5)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)


class Encoder(nn.Module):
    """`layers` encoder blocks; after pre-norm ones, whose sum is not normalised, a last norm: (B, T, D) → (B, T, D)."""

    def __init__(
        self,
        width: int,
        layers: int,
        heads: int,
        mlp_ratio: float = 4.0,
        activation: Activation = "gelu",
        norm_eps: float = 1e-5,
        pre_norm: bool = True,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            EncoderBlock(width, heads, mlp_ratio, activation, norm_eps, pre_norm) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width, norm_eps) if pre_norm else nn.Identity()
        _initialise(self, width, branches=2 * layers)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        for block in self.blocks:
            x = block(x, mask)
        out: Tensor = self.norm(x)
        return out


class DecoderBlock(nn.Module):
    """Self-attention, cross-attention to the encoder's output, then the MLP, each added to its input.

    x (B, T, D) and memory (B, S, D) → (B, T, D). `mask`, broadcastable to (B, H, T, T), says where a token may look
    among the target's tokens, those of a `cache` before them; `memory_mask`, broadcastable to (B, H, T, S), where in
    the memory. Norms are placed as in `EncoderBlock`.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        mlp_ratio: float = 4.0,
        activation: Activation = "gelu",
        norm_eps: float = 1e-5,
        pre_norm: bool = True,
    ) -> None:
        super().__init__()
        self.pre_norm = pre_norm
        self.attention_norm = nn.LayerNorm(width, norm_eps)
        self.attention = MultiHeadAttention(width, heads)
        self.cross_attention_norm = nn.LayerNorm(width, norm_eps)
        self.cross_attention = MultiHeadAttention(width, heads)
        self.mlp_norm = nn.LayerNorm(width, norm_eps)
        self.mlp = MLP(width, round(width * mlp_ratio), activation)

    def forward(
        self,
        x: Tensor,
        memory: Tensor,
        mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        cache: BlockCache | None = None,
    ) -> Tensor:
        past, projected = (cache.target, cache.memory) if cache is not None else (None, None)
        if self.pre_norm:
            x = x + self.attention(self.attention_norm(x), None, mask, past)
            x = x + self.cross_attention(self.cross_attention_norm(x), memory, memory_mask, projected)
            x = x + self.mlp(self.mlp_norm(x))
        else:
            x = self.attention_norm(x + self.attention(x, None, mask, past))
            x = self.cross_attention_norm(x + self.cross_attention(x, memory, memory_mask, projected))
            x = self.mlp_norm(x + self.mlp(x))
        return x


class Decoder(nn.Module):
    """`layers` decoder blocks in which no token looks at a later one; a last norm as in `Encoder`.

    x (B, T, D) and memory (B, S, D) → (B, T, D). `mask` and `memory_mask` are as in `DecoderBlock`, and the causal mask
    comes on top. With a `cache`, x are the tokens after those of earlier calls, which gave the same memory.
    """

    def __init__(
        self,
        width: int,
        layers: int,
        heads: int,
        mlp_ratio: float = 4.0,
        activation: Activation = "gelu",
        norm_eps: float = 1e-5,
        pre_norm: bool = True,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            DecoderBlock(width, heads, mlp_ratio, activation, norm_eps, pre_norm) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width, norm_eps) if pre_norm else nn.Identity()
        _initialise(self, width, branches=3 * layers)

    def forward(
        self,
        x: Tensor,
        memory: Tensor,
        mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        cache: DecoderCache | None = None,
    ) -> Tensor:
        past = cache.tokens if cache is not None else 0
        causal = causal_mask(x.shape[1], past + x.shape[1], x.device)
        mask = causal if mask is None else mask & causal
        for layer, block in enumerate(self.blocks):
            x = block(x, memory, mask, memory_mask, cache.blocks[layer] if cache is not None else None)
        out: Tensor = self.norm(x)
        return out


class Transformer(nn.Module):
    """Encoder and decoder: source (B, S, D) and target (B, T, D), both embedded → the decoder's output (B, T, D).

    `source_mask` (B, S) and `target_mask` (B, T) are True on real tokens, False on padding. Equal to
    `torch.nn.Transformer` with its causal target mask and no dropout: as there, both stacks end in a layer norm,
    also with post-norm, where the original paper has none.
    """

    def __init__(
        self,
        width: int,
        layers: int,
        heads: int,
        mlp_ratio: float = 4.0,
        activation: Activation = "gelu",
        norm_eps: float = 1e-5,
        pre_norm: bool = True,
    ) -> None:
        super().__init__()
        self.encoder = Encoder(width, layers, heads, mlp_ratio, activation, norm_eps, pre_norm)
        self.decoder = Decoder(width, layers, heads, mlp_ratio, activation, norm_eps, pre_norm)
        if not pre_norm:
            self.encoder.norm, self.decoder.norm = nn.LayerNorm(width, norm_eps), nn.LayerNorm(width, norm_eps)

    def forward(
        self, source: Tensor, target: Tensor, source_mask: Tensor | None = None, target_mask: Tensor | None = None
    ) -> Tensor:
        real_source = None if source_mask is None else padding_mask(source_mask)
        real_target = None if target_mask is None else padding_mask(target_mask)
        memory = self.encoder(source, real_source)
        out: Tensor = self.decoder(target, memory, real_target, real_source)
        return out


class OutputLayer(nn.Module):
    """A linear map from each token to `outputs` numbers, then any activation: (…, D) → (…, outputs)."""

    def __init__(self, width: int, outputs: int, activation: Callable[[Tensor], Tensor] | None = None) -> None:
        super().__init__()
        self.linear = nn.Linear(width, outputs)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.linear(x)
        return scores if self.activation is None else self.activation(scores)
