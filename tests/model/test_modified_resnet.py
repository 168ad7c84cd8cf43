"""CLIP's ResNet against one written from torch's parts, with torch's own attention: their checkpoints must fit."""

import pytest
import torch
from torch import Tensor, nn

from model.config import ModifiedResNetConfig
from model.modified_resnet import AttentionPool, Bottleneck, ModifiedResNet

CONFIG = ModifiedResNetConfig(image_size=96, width=8, stage_depths=(2, 1, 2, 1), heads=4, output_width=10)


def randomise(module: nn.Module) -> None:
    """Weights, gains and batch statistics that are not those of the start, where branches are zero."""
    for name, value in module.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 1.5)
        elif value.is_floating_point():
            value.normal_(std=value[0].numel() ** -0.5 if value.ndim > 1 else 0.5)


def normalised(conv: nn.Conv2d, norm: nn.BatchNorm2d, *between: nn.Module) -> nn.Sequential:
    return nn.Sequential(*between, conv, norm)


def reference(ours: ModifiedResNet, pixels: Tensor) -> Tensor:
    """The paper's tower, step by step: (B, 3, S, S) → (B, output_width)."""
    relu, halve = nn.ReLU(), nn.AvgPool2d(2)
    stem = nn.Sequential(
        normalised(ours.conv1, ours.norm1), relu, normalised(ours.conv2, ours.norm2), relu,
        normalised(ours.conv3, ours.norm3), relu, halve,
    )  # fmt: skip
    x = stem(pixels)
    for number, stage in enumerate(ours.stages):
        for place, block in enumerate(stage):
            assert isinstance(block, Bottleneck)
            strided = [halve] if number > 0 and place == 0 else []
            branch = nn.Sequential(
                normalised(block.conv1, block.norm1), relu, normalised(block.conv2, block.norm2), relu,
                normalised(block.conv3, block.norm3, *strided),
            )  # fmt: skip
            shortcut = normalised(block.shortcut.conv, block.shortcut.norm, *strided) if place == 0 else nn.Identity()
            x = relu(branch(x) + shortcut(x))
    return attention_pool(ours.attention_pool, x)


def attention_pool(ours: AttentionPool, x: Tensor) -> Tensor:
    channels = x.shape[1]
    theirs = nn.MultiheadAttention(channels, CONFIG.heads, batch_first=True)
    theirs.in_proj_weight = nn.Parameter(torch.cat([ours.query.weight, ours.key.weight, ours.value.weight]).detach())
    theirs.in_proj_bias = nn.Parameter(torch.cat([ours.query.bias, ours.key.bias, ours.value.bias]).detach())
    theirs.out_proj = ours.output
    places = x.flatten(2).transpose(1, 2)
    tokens = torch.cat([places.mean(dim=1, keepdim=True), places], dim=1) + ours.position_embedding
    pooled, _ = theirs(tokens[:, :1], tokens, tokens, need_weights=False)
    return pooled[:, 0]


@pytest.mark.parametrize("training", [False, True])
def test_it_equals_its_description(training):
    torch.manual_seed(0)
    tower = ModifiedResNet(CONFIG).train(training)
    randomise(tower)
    pixels = torch.randn(3, 3, 96, 96)
    actual = tower(pixels)
    assert actual.std() > 0.05
    torch.testing.assert_close(actual, reference(tower, pixels), atol=1e-5, rtol=1e-4)
    # In float64, as the gradient of a ReLU at nearly zero is either of two.
    tower, pixels = tower.double(), pixels.double().requires_grad_()
    outputs = tower(pixels), reference(tower, pixels)
    mine, theirs = (torch.autograd.grad(output.square().sum(), pixels)[0] for output in outputs)
    torch.testing.assert_close(mine, theirs, atol=1e-9, rtol=1e-7)


def test_a_stride_averages_before_it_drops_pixels():
    """A picture moved by one pixel moves half a place in the map, instead of turning into others (Zhang 2019)."""
    torch.manual_seed(0)
    block = Bottleneck(4, 1, stride=2).eval()
    with torch.no_grad():
        checkerboard = (torch.arange(8)[:, None] + torch.arange(8)).remainder(2).float().expand(1, 4, 8, 8)
        torch.testing.assert_close(block(checkerboard), block(1 - checkerboard))


def test_a_block_starts_as_the_identity():
    x = torch.rand(2, 8, 4, 4)
    torch.testing.assert_close(Bottleneck(8, 2, stride=1)(x), x)
