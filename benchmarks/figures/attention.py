"""Attention: one head step by step, several side by side, and those of a decoder."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure

from benchmarks.figures.lessons import END, EXAMPLE, LONGEST, START
from benchmarks.figures.look import matrix, panels
from benchmarks.figures.studio import Studio
from benchmarks.figures.watch import watched
from model.decoding import greedy

TEXT = "a cat with heart shaped eyes"


def one_head(studio: Studio) -> Figure:
    """Queries and keys make scores, scores make weights, weights and values make answers."""
    blocks = studio.clip.text_tower.get_submodule("encoder.blocks")
    with watched(blocks.get_submodule("0.attention")) as looks:
        studio.clip.encode_text(*studio.ids([TEXT]))
    (look,), pieces = looks, studio.pieces(TEXT)
    # the head that decides most: that whose weights are furthest from an even share
    head = int((look.weights[0] * look.weights[0].clamp(min=1e-9).log()).sum(dim=-1).mean(dim=-1).argmax())
    figure, axes = panels(1, 5, 11, 3.2, [0.75, 0.75, 1.15, 1.15, 0.75])
    parts = (
        ("queries Q", look.queries, False, True),
        ("keys K", look.keys, False, True),
        ("scores Q Kᵀ / √K", look.scores, True, True),
        ("weights: softmax of a row", look.weights, True, False),
        ("answers: weights · V", look.answers, False, True),
    )
    for place, (panel, (title, values, between, signed)) in enumerate(zip(axes, parts, strict=True)):
        shown = values[0, head] if between else values[0, head, :, :24]
        names = pieces if place in {0, 2, 3} else ()
        matrix(panel, shown, rows=names, columns=pieces if between else (), signed=signed, square=between)
        panel.set_title(title)
        if not between:
            panel.set_xlabel("24 of 64 numbers")
    axes[2].set_ylabel("who asks")
    axes[3].set_xlabel("who is looked at")
    return figure


def many_heads(studio: Studio) -> Figure:
    """Every head of every block of the text Transformer, on one text."""
    blocks = list(studio.clip.text_tower.get_submodule("encoder.blocks").children())
    with watched(*(block.get_submodule("attention") for block in blocks)) as looks:
        studio.clip.encode_text(*studio.ids([TEXT]))
    pieces, heads = studio.pieces(TEXT), looks[0].weights.shape[1]
    figure, axes = panels(len(blocks), heads, 9, 2.2 * len(blocks))
    for number, panel in enumerate(axes):
        block, head = divmod(number, heads)
        below, left = block == len(blocks) - 1, head == 0
        matrix(
            panel,
            looks[block].weights[0, head],
            rows=pieces if left else (),
            columns=pieces if below else (),
            largest=1,
        )
        panel.set_title(f"block {block + 1}, head {head + 1}")
    return figure


def decoder(studio: Studio) -> Figure:
    """What a decoder that reverses digits looks at: at what it has written, and at what it was given."""
    source = torch.tensor([EXAMPLE])
    (written,) = greedy(studio.reverser, source, start_id=START, end_id=END, max_length=LONGEST + 1)
    target = torch.tensor([[START, *written.ids]])
    block = studio.reverser.transformer.decoder.blocks[-1]
    with watched(block.get_submodule("attention"), block.get_submodule("cross_attention")) as looks:
        studio.reverser(source, target)
    own, cross = looks
    given = [str(digit) for digit in source[0].tolist()]
    known = ["start", *map(str, written.ids)]
    following = [*map(str, written.ids), "end"]
    figure, axes = panels(1, 3, 10, 3.5)
    matrix(axes[0], (own.weights[0, 0] > 0).float() * 0.55, rows=following, columns=known, largest=1)
    axes[0].set_title("the causal mask: what may be seen")
    matrix(axes[1], own.weights[0].mean(dim=0), rows=following, columns=known, largest=1)
    axes[1].set_title("masked self-attention")
    matrix(axes[2], cross.weights[0].mean(dim=0), rows=following, columns=given, largest=1)
    axes[2].set_title("cross-attention to the source")
    for panel, name in zip(axes, ("written so far", "written so far", "the source"), strict=True):
        panel.set(xlabel=name, ylabel="the next token is")
    return figure
