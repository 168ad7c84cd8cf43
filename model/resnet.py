"""Convolutional image towers: a ResNet of basic blocks (He et al. 2016), and one whose top is a Transformer."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.config import HybridConfig, ResNetConfig
from model.transformer import Encoder


class BasicBlock(nn.Module):
    """Two 3×3 convolutions around a residual connection: (B, C, Y, X) → (B, C', Y / stride, X / stride)."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        nn.init.zeros_(self.norm2.weight)  # a block starts as the identity (Goyal et al. 2017)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or width_in != width:
            # Average, then project: a strided 1×1 convolution would drop three pixels of four (He et al. 2019).
            pool = nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity()
            self.shortcut = nn.Sequential(pool, nn.Conv2d(width_in, width, 1, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.norm1(self.conv1(x)))
        return functional.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class Stages(nn.Sequential):
    """A strided stem and the residual stages; the first keeps the stem's resolution, each later one halves it."""

    def __init__(self, config: ResNetConfig | HybridConfig) -> None:
        stem = nn.Sequential(
            nn.Conv2d(3, config.stem_width, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(config.stem_width),
            nn.ReLU(),
        )
        blocks: list[nn.Module] = []
        width_in = config.stem_width
        for stage, (width, depth) in enumerate(zip(config.stage_widths, config.stage_depths, strict=True)):
            for block in range(depth):
                blocks.append(BasicBlock(width_in, width, stride=2 if stage and not block else 1))
                width_in = width
        super().__init__(stem, *blocks)


class ResNet(nn.Module):
    """Pictures (B, 3, S, S) → features (B, C of the last stage): the average of the last feature map."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.width = config.feature_width
        self.stages = Stages(config)

    def forward(self, pixels: Tensor) -> Tensor:
        features: Tensor = self.stages(pixels.contiguous(memory_format=torch.channels_last))
        return features.mean(dim=(2, 3))


class Hybrid(nn.Module):
    """Pictures (B, 3, S, S) → features (B, width): convolutions find the parts, attention relates them."""

    def __init__(self, config: HybridConfig) -> None:
        super().__init__()
        self.width = config.width
        self.stages = Stages(config)
        side = -(-config.image_size // 2 ** len(config.stage_widths))  # each halving rounds up
        self.projection = nn.Conv2d(config.stage_widths[-1], config.width, 1)
        self.position_embedding = nn.Parameter(torch.randn(1, side * side, config.width) * 0.02)
        self.encoder = Encoder(
            config.width, config.layers, config.heads, config.mlp_ratio, config.activation, config.norm_eps
        )

    def forward(self, pixels: Tensor) -> Tensor:
        features = self.projection(self.stages(pixels.contiguous(memory_format=torch.channels_last)))
        tokens = features.flatten(2).transpose(1, 2)  # (B, T, D)
        out: Tensor = self.encoder(tokens + self.position_embedding)
        return out.mean(dim=1)
