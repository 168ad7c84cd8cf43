"""A reader who trusts this Transformer trusts that it computes what torch's own does."""

import math
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from model.cache import DecoderCache, KeyValueCache
from model.config import Activation
from model.transformer import (
    ACTIVATIONS,
    MLP,
    Decoder,
    Encoder,
    EncoderBlock,
    MultiHeadAttention,
    OutputLayer,
    Transformer,
    attention,
    batched_attention,
    causal_mask,
    fused_attention,
    padding_mask,
)

WIDTH, HEADS, HIDDEN = 16, 4, 32


def equal(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


def gradients(output: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    return list(torch.autograd.grad(output.square().mean(), inputs, retain_graph=True))


def random_mask(*shape: int) -> Tensor:
    mask = torch.rand(*shape) < 0.6
    mask[..., 0] = True  # a row without any key has no meaning to compare
    return mask


def random_weights(module):
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    return module


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.tuples(*[st.integers(1, 5)] * 5),
    masked=st.sampled_from(["no", "padding", "causal", "each row its own"]),
    fast=st.sampled_from([batched_attention, fused_attention]),
    seed=st.integers(0, 2**31),
)
def test_fast_attention_equals_its_definition(sizes, masked, fast, seed):
    torch.manual_seed(seed)
    b, h, t, s, k = sizes
    s = max(s, t)
    q, k_, v = (torch.randn(b, h, n, k, requires_grad=True) for n in (t, s, s))
    mask = {
        "no": None,
        "padding": padding_mask(random_mask(b, s)),
        "causal": causal_mask(t, s),
        "each row its own": random_mask(b, h, t, s),
    }[masked]
    expected, actual = attention(q, k_, v, mask), fast(q, k_, v, mask)
    equal(actual, expected)
    for ours, theirs in zip(gradients(actual, [q, k_, v]), gradients(expected, [q, k_, v]), strict=True):
        equal(ours, theirs)


@pytest.mark.parametrize("attend", [attention, batched_attention, fused_attention])
def test_a_row_without_any_key_spoils_no_other(attend):
    torch.manual_seed(0)
    q = torch.randn(2, 1, 3, 4, requires_grad=True)
    mask = torch.ones(2, 1, 3, 3, dtype=torch.bool)
    mask[0, 0, 1] = False
    out = attend(q, q, q, mask)
    assert out.isfinite().all()
    equal(out[1], attend(q[1:], q[1:], q[1:])[0])
    assert gradients(out, [q])[0].isfinite().all()


def test_attention_by_hand():
    q = torch.tensor([[[[2.0, 0.0]]]])
    k = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]])
    v = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]])
    weight = torch.tensor(2 / 2**0.5).exp() / (torch.tensor(2 / 2**0.5).exp() + 1)
    torch.testing.assert_close(attention(q, k, v)[0, 0, 0], torch.stack([weight, 1 - weight]))


def test_masks_by_hand():
    T, F = True, False
    assert causal_mask(3, 3).tolist() == [[T, F, F], [T, T, F], [T, T, T]]
    assert causal_mask(2, 3).tolist() == [[T, T, F], [T, T, T]], "the queries are the last of the tokens"
    assert padding_mask(torch.tensor([[T, T, F]])).tolist() == [[[[T, T, F]]]]


def torch_name(name: str, decoder: bool) -> str:
    for ours, theirs in (
        ("query.", "in_proj_"),
        ("output.", "out_proj."),
        ("blocks.", "layers."),
        ("mlp.expand.", "linear1."),
        ("mlp.contract.", "linear2."),
        ("cross_attention_norm.", "norm2."),
        ("attention_norm.", "norm1."),
        ("mlp_norm.", "norm3." if decoder else "norm2."),
        ("cross_attention.", "multihead_attn."),
        ("attention.", "self_attn."),
    ):
        name = name.replace(ours, theirs)
    return name


def torch_names(ours: dict[str, Tensor]) -> dict[str, Tensor]:
    """Parameters, or their gradients, under the names that torch's modules give them, Q, K and V in one tensor."""
    return {
        torch_name(name, decoder=name.startswith("decoder.")): torch.cat(
            [ours[name.replace("query.", f"{part}.")] for part in ("query", "key", "value")]
        )
        if "query." in name
        else tensor
        for name, tensor in ours.items()
        if "key." not in name and "value." not in name
    }


def same_gradients(ours: nn.Module, theirs: nn.Module, our_output: Tensor, their_output: Tensor) -> None:
    names, parameters = zip(*ours.named_parameters(), strict=True)
    expected_names, expected = zip(*theirs.named_parameters(), strict=True)
    actual = torch_names(dict(zip(names, gradients(our_output, list(parameters)), strict=True)))
    for name, gradient in zip(expected_names, gradients(their_output, list(expected)), strict=True):
        equal(actual.pop(name), gradient)
    assert not actual


@pytest.mark.parametrize("kind", ["self", "cross", "causal"])
def test_multi_head_attention_equals_torch(kind):
    torch.manual_seed(0)
    ours = random_weights(MultiHeadAttention(12, 3))
    theirs = nn.MultiheadAttention(12, 3, batch_first=True)
    theirs.load_state_dict(torch_names(ours.state_dict()))
    x, context = torch.randn(2, 5, 12, requires_grad=True), torch.randn(2, 7, 12, requires_grad=True)
    source = context if kind == "cross" else x
    real = random_mask(2, source.shape[1])
    causal = causal_mask(5, 5) if kind == "causal" else torch.ones(5, source.shape[1], dtype=torch.bool)
    mask = padding_mask(real) & causal

    actual = ours(x, context if kind == "cross" else None, mask)
    expected, _ = theirs(x, source, source, key_padding_mask=~real, attn_mask=~causal, need_weights=False)
    equal(actual, expected)
    same_gradients(ours, theirs, actual, expected)
    for mine, other in zip(gradients(actual, [x, source]), gradients(expected, [x, source]), strict=True):
        equal(mine, other)
    with torch.no_grad():
        equal(ours(x, context if kind == "cross" else None, mask), expected)


@pytest.mark.parametrize("masked", [True, False])
def test_half_precision_is_the_same_attention(masked):
    """Training in bfloat16 goes another way through `attention` than float32 does."""
    torch.manual_seed(0)
    layer, x = MultiHeadAttention(WIDTH, HEADS), torch.randn(3, 6, WIDTH)
    mask = padding_mask(random_mask(3, 6)) & causal_mask(6, 6) if masked else None
    with torch.autocast("cpu", torch.bfloat16):
        half = layer(x, mask=mask)
    whole = layer(x, mask=mask)
    torch.testing.assert_close(half.float(), whole, atol=2e-2, rtol=0)
    [half_gradient], [gradient] = gradients(half.float(), [layer.query.weight]), gradients(whole, [layer.query.weight])
    assert (half_gradient - gradient).norm() < 0.05 * gradient.norm()


def test_an_exported_graph_is_made_of_products():
    """ONNX spells the fused kernel out at length, which makes a short query up to a third slower."""
    torch.manual_seed(0)
    layer, x = MultiHeadAttention(WIDTH, HEADS), torch.randn(2, 5, WIDTH)
    program = torch.export.export(layer, (x,))
    assert "scaled_dot_product_attention" not in str(program.graph)
    equal(program.module()(x), layer(x))


@pytest.mark.parametrize("pre_norm", [True, False])
@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_encoder_equals_torch(pre_norm, activation):
    torch.manual_seed(0)
    ours = random_weights(Encoder(WIDTH, 3, HEADS, HIDDEN / WIDTH, activation, norm_eps=1e-3, pre_norm=pre_norm))
    layer = nn.TransformerEncoderLayer(
        WIDTH, HEADS, HIDDEN, 0, activation, layer_norm_eps=1e-3, batch_first=True, norm_first=pre_norm
    )
    last_norm = nn.LayerNorm(WIDTH, 1e-3) if pre_norm else None
    theirs = nn.TransformerEncoder(layer, 3, last_norm, enable_nested_tensor=False)
    theirs.load_state_dict(torch_names(ours.state_dict()))
    x, real = torch.randn(3, 6, WIDTH), random_mask(3, 6)
    actual, expected = ours(x, padding_mask(real)), theirs(x, src_key_padding_mask=~real)
    equal(actual, expected)
    same_gradients(ours, theirs, actual, expected)


@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")
@pytest.mark.parametrize("pre_norm", [True, False])
@pytest.mark.parametrize("activation", ["gelu", "relu"])
@pytest.mark.parametrize("padded", [True, False])
def test_transformer_equals_torch(pre_norm, activation, padded):
    torch.manual_seed(0)
    ours = random_weights(Transformer(WIDTH, 2, HEADS, HIDDEN / WIDTH, activation, pre_norm=pre_norm))
    theirs = nn.Transformer(WIDTH, HEADS, 2, 2, HIDDEN, 0, activation, batch_first=True, norm_first=pre_norm)
    theirs.load_state_dict(torch_names(ours.state_dict()))
    source, target = torch.randn(3, 7, WIDTH, requires_grad=True), torch.randn(3, 5, WIDTH, requires_grad=True)
    source_mask, target_mask = (random_mask(3, 7), random_mask(3, 5)) if padded else (None, None)
    paddings = {}
    if source_mask is not None and target_mask is not None:
        paddings = {
            "src_key_padding_mask": ~source_mask,
            "memory_key_padding_mask": ~source_mask,
            "tgt_key_padding_mask": ~target_mask,
        }

    actual = ours(source, target, source_mask, target_mask)
    expected = theirs(source, target, tgt_mask=~causal_mask(5, 5), **paddings)
    equal(actual, expected)
    same_gradients(ours, theirs, actual, expected)
    for mine, other in zip(gradients(actual, [source, target]), gradients(expected, [source, target]), strict=True):
        equal(mine, other)


def test_decoder_does_not_see_the_future():
    torch.manual_seed(0)
    decoder = Decoder(WIDTH, 2, HEADS)
    x, memory = torch.randn(1, 6, WIDTH), torch.randn(1, 3, WIDTH)
    changed = torch.cat([x[:, :4], torch.randn(1, 2, WIDTH)], dim=1)
    before, after = decoder(x, memory), decoder(changed, memory)
    equal(after[:, :4], before[:, :4])
    assert (after[:, 4:] - before[:, 4:]).abs().max() > 0.1


@settings(max_examples=25, deadline=None)
@given(
    chunks=st.lists(st.integers(1, 3), min_size=1, max_size=4),
    pre_norm=st.booleans(),
    learning=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_cached_decoder_equals_the_whole_one(chunks, pre_norm, learning, seed):
    """Whoever decodes with the cache gets what the model was trained to say, in whatever portions tokens come."""
    torch.manual_seed(seed)
    decoder = random_weights(Decoder(WIDTH, 2, HEADS, pre_norm=pre_norm)).double()
    x, memory = torch.randn(2, sum(chunks), WIDTH).double(), torch.randn(2, 3, WIDTH).double()
    mask, memory_mask = padding_mask(random_mask(2, sum(chunks))), padding_mask(random_mask(2, 3))
    with torch.set_grad_enabled(learning):
        whole = decoder(x, memory, mask, memory_mask)
        cache, parts = DecoderCache.empty(2), []
        for part in x.split(chunks, dim=1):
            seen = mask[..., : cache.tokens + part.shape[1]]
            parts.append(decoder(part, memory, seen, memory_mask, cache))
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-12, rtol=1e-12)


def test_cross_attention_projects_its_context_once():
    torch.manual_seed(0)
    cross = MultiHeadAttention(WIDTH, HEADS)
    x, context, cache = torch.randn(2, 1, WIDTH), torch.randn(2, 5, WIDTH), KeyValueCache()
    first = cross(x, context, cache=cache)
    calls = []
    cross.key.register_forward_hook(lambda *_: calls.append("key"))
    equal(cross(x, context, cache=cache), first)
    assert calls == []
    assert cache.keys is not None
    assert cache.keys.shape == (2, HEADS, 5, WIDTH // HEADS)


def test_activations_are_those_of_their_names():
    x = torch.linspace(-4, 4, 101)
    assert set(ACTIVATIONS) == set(get_args(Activation))
    equal(ACTIVATIONS["gelu"](x), x * 0.5 * (1 + torch.erf(x / math.sqrt(2))))
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    equal(ACTIVATIONS["gelu_tanh"](x), 0.5 * x * (1 + inner.tanh()))
    equal(ACTIVATIONS["quick_gelu"](x), x / (1 + torch.exp(-1.702 * x)))
    equal(ACTIVATIONS["relu"](x), x.clamp(min=0))


@pytest.mark.parametrize("activation", get_args(Activation))
def test_a_block_uses_its_activation(activation):
    """QuickGELU taken for GELU is the field's best-known silent error."""
    torch.manual_seed(0)
    block = EncoderBlock(WIDTH, HEADS, activation=activation)
    x = torch.randn(1, 3, WIDTH)
    between = x + block.attention(block.attention_norm(x))
    hidden = ACTIVATIONS[activation](block.mlp.expand(block.mlp_norm(between)))
    equal(block(x), between + block.mlp.contract(hidden))


def test_mlp_treats_each_token_by_itself():
    torch.manual_seed(0)
    mlp, x = MLP(WIDTH, HIDDEN), torch.randn(2, 5, WIDTH)
    equal(mlp(x)[:, 3], mlp(x[:, 3:4])[:, 0])


def test_output_layer_takes_any_activation():
    torch.manual_seed(0)
    x = torch.randn(2, 5, WIDTH)
    scores = OutputLayer(WIDTH, 3)
    equal(scores(x), x @ scores.linear.weight.T + scores.linear.bias)
    for activation in (torch.sigmoid, torch.tanh, lambda y: y.softmax(dim=-1)):
        layer = OutputLayer(WIDTH, 3, activation)
        layer.load_state_dict(scores.state_dict())
        equal(layer(x), activation(scores(x)))


@pytest.mark.parametrize("stack", [Encoder, Decoder])
def test_residual_stream_starts_tame(stack):
    torch.manual_seed(0)
    x, memory = torch.randn(4, 10, 64), torch.randn(4, 10, 64)
    for block in stack(64, layers=24, heads=4).blocks:
        x = block(x) if stack is Encoder else block(x, memory)
    assert 0.8 < x.std().item() < 2.0, "a deep stack must not blow up before the first step"


def test_heads_have_to_divide_the_width():
    with pytest.raises(ValueError, match="width 10 is not divisible by 3 heads"):
        MultiHeadAttention(10, 3)
