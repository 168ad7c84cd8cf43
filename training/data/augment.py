"""Augmentation of a batch of transparent drawings into pictures, all in batched tensor operations.

What varies is what should not matter: place, scale, turn, perspective, the run of lines, background, light and shade,
colour, sharpness, compression, and the manner of drawing (outlines, fills, grey). Draws come from a `torch.Generator`,
so that a resumed run sees the same pictures.
"""

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional

_BLOCK = 8


def augment(drawings: Tensor, size: int, generator: Generator) -> Tensor:
    """Premultiplied uint8 (B, 4, Y, X) → float32 (B, 3, size, size) in 0 … 1."""
    layers = _place(drawings.float().div_(255), size, generator)
    colour, alpha = layers[:, :3], layers[:, 3:]
    colour = _tint(colour, alpha, generator)
    colour = _redraw(_recolour(colour, alpha, generator), alpha, generator)
    colour = _shade(colour, generator)
    pictures = colour + (1 - alpha) * _backgrounds(colour, generator)
    return _compress(_blur(_light(pictures, generator), generator).clamp_(0, 1), generator).clamp_(0, 1)


def _uniform(generator: Generator, n: int, low: float, high: float) -> Tensor:
    return torch.rand(n, 1, 1, 1, generator=generator) * (high - low) + low


def _chance(generator: Generator, n: int, probability: float) -> Tensor:
    return (torch.rand(n, 1, 1, 1, generator=generator) < probability).float()


def _place(layers: Tensor, size: int, generator: Generator) -> Tensor:
    """Turn, scale, stretch and shift each drawing, resampled at the output's resolution."""
    n = len(layers)

    def draw(low: float, high: float) -> Tensor:
        return _uniform(generator, n, low, high).flatten()

    angle = draw(-1, 1) ** 3 * math.radians(35)  # mostly upright
    scale = torch.exp(draw(math.log(0.8), math.log(1.45)))  # of the sampling grid: > 1 draws smaller
    stretch = torch.exp(draw(-0.15, 0.15))
    shift = 0.12 * scale
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0] = angle.cos() * scale * stretch
    theta[:, 0, 1] = -angle.sin() * scale * stretch
    theta[:, 1, 0] = angle.sin() * scale / stretch
    theta[:, 1, 1] = angle.cos() * scale / stretch
    theta[:, 0, 2] = draw(-1, 1) * shift
    theta[:, 1, 2] = draw(-1, 1) * shift
    grid = functional.affine_grid(theta, [n, 4, size, size], align_corners=False)
    tilt = (torch.rand(n, 2, generator=generator) - 0.5) * 0.5 * _chance(generator, n, 0.3).view(n, 1)
    grid = grid / (1 + grid @ tilt.view(n, 1, 2, 1)).clamp(min=0.4)  # seen at an angle
    bend = (torch.rand(n, 2, 5, 5, generator=generator) - 0.5) * 0.22 * _chance(generator, n, 0.5)
    bend = functional.interpolate(bend, size=(size, size), mode="bicubic", align_corners=True)
    grid = grid + bend.permute(0, 2, 3, 1)  # another hand draws no line quite the same
    return functional.grid_sample(layers, grid, mode="bilinear", align_corners=False)


def _tint(colour: Tensor, alpha: Tensor, generator: Generator) -> Tensor:
    """A random colour, rarely light, for half of the drawings that are all black, as icons of one colour come."""
    n = len(colour)
    black = (colour.flatten(1).amax(dim=1) < 0.1).float().view(n, 1, 1, 1)
    hue = torch.rand(n, 3, 1, 1, generator=generator) * 0.75
    return colour + black * _chance(generator, n, 0.5) * hue * (alpha - colour)


def _recolour(colour: Tensor, alpha: Tensor, generator: Generator) -> Tensor:
    """Saturation from grey to vivid, and a slight mix of the channels."""
    n = len(colour)
    grey = colour.mean(dim=1, keepdim=True)
    saturation = _uniform(generator, n, 0.4, 1.3) * (1 - _chance(generator, n, 0.12))
    colour = grey + (colour - grey) * saturation
    mix = torch.eye(3) + (torch.rand(n, 3, 3, generator=generator) - 0.5) * 0.25
    mix = mix / mix.sum(dim=2, keepdim=True)
    colour = (mix @ colour.flatten(2)).view_as(colour)
    return colour.clamp(min=0).minimum(alpha)  # premultiplied colour never exceeds its alpha


def _redraw(colour: Tensor, alpha: Tensor, generator: Generator) -> Tensor:
    """Another manner of drawing: dark outlines where colour or shape changes, and fills faded towards white."""
    n = len(colour)
    flat = (colour.flatten(1).amax(dim=1) < 0.1).float().view(n, 1, 1, 1)  # one dark colour: fading would erase it
    fade = _chance(generator, n, 0.3) * _uniform(generator, n, 0.2, 1.0) * (1 - flat)
    faded = colour + (alpha - colour) * fade
    layers = torch.cat([colour, alpha], dim=1)
    edge = (functional.max_pool2d(layers, 3, 1, 1) - layers).amax(dim=1, keepdim=True)
    edge = (edge * 2.5).clamp(max=1)
    ink = torch.maximum(_chance(generator, n, 0.3), fade.sign()) * _uniform(generator, n, 0.5, 1.0)
    return faded * (1 - edge * ink)


def _shade(colour: Tensor, generator: Generator) -> Tensor:
    """Light that falls from a side, and soft shadows: things have a body, drawings mostly have not."""
    n, _, height, width = colour.shape
    coarse = torch.rand(n, 1, 3, 3, generator=generator)
    shade = functional.interpolate(coarse, size=(height, width), mode="bilinear", align_corners=True)
    depth = _chance(generator, n, 0.4) * _uniform(generator, n, 0.2, 0.8)
    return colour * (1 - depth * shade)


def _backgrounds(colour: Tensor, generator: Generator) -> Tensor:
    """White for some, else one colour, a gradient, a soft texture, or other drawings, blurred: (n, 3, size, size)."""
    n, _, size, _ = colour.shape
    base = torch.rand(n, 3, 1, 1, generator=generator)
    slope = (torch.rand(n, 3, 2, generator=generator) - 0.5) * _chance(generator, n, 0.5).view(n, 1, 1)
    line = torch.linspace(-1, 1, size)
    plain = base + slope[:, :, :1, None] * line[:, None] + slope[:, :, 1:, None] * line
    coarse = torch.rand(n, 3, 6, 6, generator=generator) - 0.5
    texture = functional.interpolate(coarse, size=(size, size), mode="bilinear", align_corners=False)
    plain = plain + texture * _chance(generator, n, 0.4) * _uniform(generator, n, 0.2, 1.0)
    others = colour[torch.randperm(n, generator=generator)] - colour[torch.randperm(n, generator=generator)]
    clutter = functional.avg_pool2d(others, 5, 1, 2, count_include_pad=False)
    plain = plain + clutter * _chance(generator, n, 0.25) * _uniform(generator, n, 0.2, 0.8)
    white = _chance(generator, n, 0.4)
    return white + (1 - white) * plain.clamp(0, 1)


def _blur(pictures: Tensor, generator: Generator) -> Tensor:
    """Out of focus, now and then."""
    n = len(pictures)
    soft = functional.avg_pool2d(pictures, 3, 1, 1, count_include_pad=False)
    return pictures.lerp(soft, _chance(generator, n, 0.25) * _uniform(generator, n, 0.2, 1.0))


def _compress(pictures: Tensor, generator: Generator) -> Tensor:
    """What JPEG leaves of some pictures: blocks of 8 × 8, their cosine transforms rounded, high frequencies more."""
    n, _, height, width = pictures.shape
    if height % _BLOCK or width % _BLOCK:
        return pictures
    strength = _chance(generator, n, 0.25) * _uniform(generator, n, 0.02, 0.12)
    chosen = strength.flatten().nonzero().flatten()
    blocks = pictures[chosen].unfold(2, _BLOCK, _BLOCK).unfold(3, _BLOCK, _BLOCK)  # (m, 3, Y, X, 8, 8)
    cosines = _cosines()
    frequencies = cosines @ blocks @ cosines.T
    step = strength[chosen].view(-1, 1, 1, 1, 1, 1) * (1 + torch.arange(_BLOCK)[:, None] + torch.arange(_BLOCK))
    rounded = cosines.T @ ((frequencies / step).round() * step) @ cosines
    out = pictures.clone()
    out[chosen] = rounded.permute(0, 1, 2, 4, 3, 5).reshape(len(chosen), 3, height, width)
    return out


def _cosines() -> Tensor:
    """The orthonormal cosine transform (8, 8), one frequency a row."""
    place = torch.arange(_BLOCK) + 0.5
    rows: Tensor = torch.cos(math.pi / _BLOCK * torch.arange(_BLOCK)[:, None] * place) * (2 / _BLOCK) ** 0.5
    rows[0] /= 2**0.5
    return rows


def _light(pictures: Tensor, generator: Generator) -> Tensor:
    """Brightness, contrast, a rare inversion, a little noise."""
    n, _, height, width = pictures.shape
    contrast = _uniform(generator, n, 0.7, 1.2)
    pictures = (pictures - 0.5) * contrast + 0.5 + _uniform(generator, n, -0.15, 0.15)
    invert = _chance(generator, n, 0.03)
    pictures = invert * (1 - pictures) + (1 - invert) * pictures
    noise = torch.randn(n, 1, height, width, generator=generator) * 0.04 * _chance(generator, n, 0.3)
    return pictures + noise
