"""A reader who trusts this Transformer trusts that it computes what torch's own does."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from model.transformer import (
    Encoder,
    EncoderBlock,
    MultiHeadAttention,
    attention,
    batched_attention,
    fused_attention,
)


def grads(output: Tensor, *inputs: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(output.square().sum(), inputs, retain_graph=True))


def random_mask(*shape: int) -> Tensor:
    mask = torch.rand(*shape) < 0.6
    mask[..., 0] = True  # a row without any key has no meaning to compare
    return mask


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.tuples(*[st.integers(1, 5)] * 5),
    masked=st.booleans(),
    fast=st.sampled_from([batched_attention, fused_attention]),
    seed=st.integers(0, 2**31),
)
def test_fast_attention_equals_its_definition(sizes, masked, fast, seed):
    torch.manual_seed(seed)
    b, h, t, s, k = sizes
    q, k_, v = (torch.randn(b, h, n, k, requires_grad=True) for n in (t, s, s))
    mask = random_mask(b, 1, t, s) if masked else None
    expected, actual = attention(q, k_, v, mask), fast(q, k_, v, mask)
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)
    for ours, theirs in zip(grads(actual, q, k_, v), grads(expected, q, k_, v), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_attention_by_hand():
    q = torch.tensor([[[[2.0, 0.0]]]])
    k = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]])
    v = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]])
    weight = torch.tensor(2 / 2**0.5).exp() / (torch.tensor(2 / 2**0.5).exp() + 1)
    torch.testing.assert_close(attention(q, k, v)[0, 0, 0], torch.stack([weight, 1 - weight]))


def copy_attention(ours: MultiHeadAttention, theirs: nn.MultiheadAttention) -> None:
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key.weight, ours.value.weight]))
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key.bias, ours.value.bias]))
        theirs.out_proj.weight.copy_(ours.output.weight)
        theirs.out_proj.bias.copy_(ours.output.bias)


def randomise(module: nn.Module) -> None:
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)


@pytest.mark.parametrize("cross", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_multi_head_attention_equals_torch(cross, training):
    torch.manual_seed(0)
    ours, theirs = MultiHeadAttention(12, 3), nn.MultiheadAttention(12, 3, batch_first=True)
    randomise(ours)
    copy_attention(ours, theirs)
    x, context = torch.randn(2, 5, 12, requires_grad=True), torch.randn(2, 7, 12, requires_grad=True)
    source = context if cross else x
    padding = random_mask(2, source.shape[1])
    with torch.set_grad_enabled(training):
        actual = ours(x, source if cross else None, padding[:, None, None, :])
    expected, _ = theirs(x, source, source, key_padding_mask=~padding, need_weights=False)
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)
    if training:
        pairs = [(x, x), (ours.output.weight, theirs.out_proj.weight)] + ([(context, context)] if cross else [])
        for mine, other in pairs:
            torch.testing.assert_close(grads(actual, mine)[0], grads(expected, other)[0], atol=1e-5, rtol=1e-4)


def copy_block(ours: EncoderBlock, theirs: nn.TransformerEncoderLayer) -> None:
    copy_attention(ours.attention, theirs.self_attn)
    for mine, other in (
        (ours.attention_norm, theirs.norm1),
        (ours.mlp_norm, theirs.norm2),
        (ours.mlp.expand, theirs.linear1),
        (ours.mlp.contract, theirs.linear2),
    ):
        other.load_state_dict(mine.state_dict())


def test_encoder_equals_torch():
    torch.manual_seed(0)
    ours = Encoder(16, layers=3, heads=4, mlp_ratio=2)
    randomise(ours)
    layer = nn.TransformerEncoderLayer(
        16, 4, dim_feedforward=32, dropout=0, activation="gelu", batch_first=True, norm_first=True
    )
    theirs = nn.TransformerEncoder(layer, 3, norm=nn.LayerNorm(16), enable_nested_tensor=False)
    for mine, other in zip(ours.blocks, theirs.layers, strict=True):
        copy_block(mine, other)
    theirs.norm.load_state_dict(ours.norm.state_dict())
    x, padding = torch.randn(3, 6, 16, requires_grad=True), random_mask(3, 6)
    actual = ours(x, padding[:, None, None, :])
    expected = theirs(x, src_key_padding_mask=~padding)
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(grads(actual, x)[0], grads(expected, x)[0], atol=1e-4, rtol=1e-4)


def test_residual_stream_starts_tame():
    torch.manual_seed(0)
    x = torch.randn(4, 10, 64)
    encoder = Encoder(64, layers=24, heads=4)
    for block in encoder.blocks:
        x = block(x)
    assert 0.8 < x.std().item() < 2.0, "a deep stack must not blow up before the first step"


def test_heads_have_to_divide_the_width():
    with pytest.raises(ValueError, match="width 10 is not divisible by 3 heads"):
        MultiHeadAttention(10, 3)
