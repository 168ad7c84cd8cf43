"""What surrounds attention: the MLP's activation, residuals and norms, N blocks, the output layer."""

from __future__ import annotations

import math

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.figures.lessons import DIGITS, END, EXAMPLE, LONGEST, START
from benchmarks.figures.look import BLUE, GREEN, ORANGE, matrix, panels
from benchmarks.figures.studio import Studio
from model.decoding import greedy
from model.text import mean_of_real
from model.transformer import ACTIVATIONS, Encoder, gelu_tanh, quick_gelu

COLOURS, SHAPES = ("red", "green", "blue"), ("heart", "circle", "book")
TEXTS = [f"{colour} {shape}" for shape in SHAPES for colour in COLOURS]
DEEP, WIDE = 24, 64
LEAST = 6
"""Probabilities below 10 to the minus this are drawn like it."""


def activations(studio: Studio) -> Figure:
    """The activations beside each other, how far two approximations of the GELU are from it, and what it is given."""
    x = torch.linspace(-4, 4, 401)
    places = x.numpy()
    figure, axes = panels(1, 3, 10, 2.9)
    for name, style in (("relu", ":"), ("gelu", "-"), ("quick_gelu", "--")):
        axes[0].plot(places, ACTIVATIONS[name](x).numpy(), style, label=name)  # type: ignore[index]
    axes[0].legend()
    axes[0].set(title="activations", xlabel="x")
    axes[1].plot(places, (quick_gelu(x) - functional.gelu(x)).numpy(), label="quick_gelu", color=GREEN)
    axes[1].plot(places, (gelu_tanh(x) - functional.gelu(x)).numpy(), label="gelu_tanh", color=ORANGE)
    axes[1].legend()
    axes[1].set(title="difference from the exact GELU", xlabel="x")
    given: list[Tensor] = []
    blocks = list(studio.clip.text_tower.get_submodule("encoder.blocks").children())
    hooks = [
        block.get_submodule("mlp.expand").register_forward_hook(lambda _module, _inputs, out: given.append(out))
        for block in blocks
    ]
    ids, mask = studio.ids([each.name for each in studio.unseen()])
    with torch.no_grad():
        studio.clip.encode_text(ids, mask)
    for hook in hooks:
        hook.remove()
    for number, values in enumerate(given):
        axes[2].hist(
            values[mask].flatten().numpy(),
            bins=120,
            range=(-5, 5),
            density=True,
            histtype="step",
            label=f"block {number + 1}",
        )
    axes[2].legend()
    axes[2].set(title="what the shipped model's GELUs are given", xlabel="x", yticks=[])
    for panel in axes[:2]:
        panel.grid()
    return figure


def residuals_and_norms(studio: Studio) -> Figure:
    """What each branch adds to the stream, and how the place of the norm decides the gradients of a deep stack."""
    figure, axes = panels(1, 2, 9, 3.1)
    encoder = studio.clip.text_tower.get_submodule("encoder")
    lengths: dict[str, list[float]] = {"stream": [], "attention": [], "MLP": []}
    ids, mask = studio.ids([each.name for each in studio.unseen()])

    def length(values: Tensor) -> float:
        return float(values[mask].norm(dim=-1).mean())

    hooks = []
    for block in encoder.get_submodule("blocks").children():
        hooks += [
            block.register_forward_pre_hook(lambda _m, given: lengths["stream"].append(length(given[0]))),
            block.get_submodule("attention").register_forward_hook(
                lambda _m, _given, out: lengths["attention"].append(length(out))
            ),
            block.get_submodule("mlp").register_forward_hook(
                lambda _m, _given, out: lengths["MLP"].append(length(out))
            ),
        ]
    hooks.append(
        encoder.get_submodule("norm").register_forward_pre_hook(
            lambda _m, given: lengths["stream"].append(length(given[0]))
        )
    )
    with torch.no_grad():
        studio.clip.encode_text(ids, mask)
    for hook in hooks:
        hook.remove()
    places = np.arange(len(lengths["attention"]))
    axes[0].plot(range(len(lengths["stream"])), lengths["stream"], marker="o", label="the stream", color=BLUE)
    axes[0].bar(places + 0.35, lengths["attention"], width=0.2, label="attention adds", color=ORANGE)
    axes[0].bar(places + 0.65, lengths["MLP"], width=0.2, label="the MLP adds", color=GREEN)
    axes[0].set(
        title="residuals: length of a token's vector", xlabel="blocks passed",
        xticks=range(len(lengths["stream"])), ylim=(0, None),
    )  # fmt: skip
    axes[0].legend()
    for pre_norm, name, color in ((True, "norm before (pre-norm)", BLUE), (False, "norm after (post-norm)", ORANGE)):
        axes[1].plot(range(1, DEEP + 1), _gradients(pre_norm), marker=".", label=name, color=color)
    axes[1].set(title=f"length of the gradients in {DEEP} untrained blocks", xlabel="block", ylim=(0, None))
    axes[1].legend()
    axes[1].grid()
    return figure


def _gradients(pre_norm: bool) -> list[float]:
    """Length of the gradient of each block's MLP when one number of the last token is to change."""
    torch.manual_seed(0)
    encoder = Encoder(WIDE, DEEP, heads=4, pre_norm=pre_norm)
    for linear in encoder.modules():
        if isinstance(linear, nn.Linear):
            nn.init.xavier_uniform_(linear.weight)
    encoder(torch.randn(16, 10, WIDE))[:, -1, 0].square().mean().backward()
    return [block.get_parameter("mlp.contract.weight").grad.norm().item() for block in encoder.blocks]  # type: ignore[union-attr]


def depth(studio: Studio) -> Figure:
    """How alike texts are before the first block and after each."""
    ids, mask = studio.ids(TEXTS)
    tower = studio.clip.text_tower
    states: list[Tensor] = []
    encoder = tower.get_submodule("encoder")
    hooks = [
        block.register_forward_pre_hook(lambda _m, given: states.append(given[0]))
        for block in encoder.get_submodule("blocks").children()
    ]
    hooks.append(encoder.get_submodule("norm").register_forward_hook(lambda _m, _given, out: states.append(out)))
    with torch.no_grad():
        vectors = studio.clip.encode_text(ids, mask)
    for hook in hooks:
        hook.remove()
    alike = [_centred_cosines(mean_of_real(state, mask)) for state in states] + [_centred_cosines(vectors)]
    titles = ["embeddings", *(f"after block {n + 1}" for n in range(len(states) - 1)), "projected"]
    figure, axes = panels(1, len(alike), 11, 2.9)
    for number, (panel, values, title) in enumerate(zip(axes, alike, titles, strict=True)):
        matrix(panel, values, rows=() if number else TEXTS, signed=True, largest=1)
        panel.set_title(title)
    return figure


def _centred_cosines(values: Tensor) -> Tensor:
    centred = functional.normalize(values - values.mean(dim=0), dim=-1)
    return centred @ centred.T


def output(studio: Studio) -> Figure:
    """What the output layer says of each next token, and what it holds for less likely."""
    source = torch.tensor([EXAMPLE])
    (written,) = greedy(studio.reverser, source, start_id=START, end_id=END, max_length=LONGEST + 1)
    target = torch.tensor([[START, *written.ids]])
    with torch.no_grad():
        says = studio.reverser(source, target)[0]  # (T, V), natural logarithms
    steps = [str(digit) for digit in (*written.ids, "end")]
    tokens = [*map(str, range(DIGITS)), "start", "end"]
    figure, axes = panels(1, 1, 5.4, 3.8)
    image = matrix(axes[0], (says.T / math.log(10)).clamp(min=-LEAST) + LEAST, rows=tokens, columns=steps)
    axes[0].set(xlabel="written", ylabel="token", title=f"the next token, given {' '.join(map(str, EXAMPLE))}")
    axes[0].set_xticks(range(len(steps)), steps, rotation=0, ha="center")
    bar = figure.colorbar(image, ax=axes[0], ticks=range(0, LEAST + 1, 2), shrink=0.8, label="probability")
    bar.ax.set_yticklabels([f"$10^{{{tick - LEAST}}}$" for tick in range(0, LEAST + 1, 2)])
    bar.outline.set_visible(False)
    return figure
