"""CLIP's convolutional image tower, the ModifiedResNet (Radford et al. 2021, section 2.4).

Against He et al. 2016: three convolutions instead of one in the stem, average pooling before every strided convolution,
so that strides do not alias (Zhang 2019), and attention instead of an average over the last feature map.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.config import ModifiedResNetConfig
from model.transformer import MultiHeadAttention

EXPANSION = 4
"""Channels that leave a bottleneck, over those of its 3×3 convolution."""


class Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1 convolution around a residual connection: (B, C, Y, X) → (B, 4 · width, Y / stride, X / stride).

    The stride is an average pooling, before the last convolution and in the shortcut.
    """

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        width_out = EXPANSION * width
        self.conv1 = nn.Conv2d(width_in, width, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.pool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.conv3 = nn.Conv2d(width, width_out, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(width_out)
        nn.init.zeros_(self.norm3.weight)  # a block starts as the identity (Goyal et al. 2017)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or width_in != width_out:
            pool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
            conv = nn.Conv2d(width_in, width_out, 1, bias=False)
            self.shortcut = nn.Sequential(OrderedDict(pool=pool, conv=conv, norm=nn.BatchNorm2d(width_out)))

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.norm1(self.conv1(x)))
        y = functional.relu(self.norm2(self.conv2(y)))
        y = self.norm3(self.conv3(self.pool(y)))
        return functional.relu(y + self.shortcut(x))


class AttentionPool(MultiHeadAttention):
    """Feature map (B, C, Y, X) → (B, width): the mean over its places, as a query, attends to itself and all places."""

    def __init__(self, config: ModifiedResNetConfig) -> None:
        channels = 8 * EXPANSION * config.width
        super().__init__(channels, config.heads)
        self.output = nn.Linear(channels, config.output_width)
        places = (config.image_size // 32) ** 2
        self.position_embedding = nn.Parameter(torch.randn(1 + places, channels) * channels**-0.5)

    def forward(self, features: Tensor) -> Tensor:  # type: ignore[override]  # a map, not a sequence
        tokens = features.flatten(2).transpose(1, 2)  # (B, Y · X, C)
        tokens = torch.cat([tokens.mean(dim=1, keepdim=True), tokens], dim=1) + self.position_embedding
        pooled: Tensor = super().forward(tokens[:, :1], tokens)  # (B, 1, width)
        return pooled[:, 0]


class ModifiedResNet(nn.Module):
    """Pictures (B, 3, S, S) → features (B, output_width)."""

    def __init__(self, config: ModifiedResNetConfig) -> None:
        super().__init__()
        self.width = config.feature_width
        half = config.width // 2
        self.conv1 = nn.Conv2d(3, half, 3, stride=2, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(half)
        self.conv2 = nn.Conv2d(half, half, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(half)
        self.conv3 = nn.Conv2d(half, config.width, 3, padding=1, bias=False)
        self.norm3 = nn.BatchNorm2d(config.width)
        stages: list[nn.Module] = []
        width_in = config.width
        for stage, depth in enumerate(config.stage_depths):
            width = config.width * 2**stage
            blocks: list[nn.Module] = []
            for block in range(depth):
                blocks.append(Bottleneck(width_in, width, stride=2 if stage and not block else 1))
                width_in = EXPANSION * width
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.attention_pool = AttentionPool(config)

    def forward(self, pixels: Tensor) -> Tensor:
        x = pixels.contiguous(memory_format=torch.channels_last)
        x = functional.relu(self.norm1(self.conv1(x)))  # (B, W / 2, S / 2, S / 2)
        x = functional.relu(self.norm2(self.conv2(x)))
        x = functional.relu(self.norm3(self.conv3(x)))  # (B, W, S / 2, S / 2)
        x = self.stages(functional.avg_pool2d(x, 2))  # (B, 32 · W, S / 32, S / 32)
        feature: Tensor = self.attention_pool(x)
        return feature
