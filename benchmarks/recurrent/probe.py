"""Two questions of architecture alone, without pictures: what a tower can learn to carry how far, and what it hears.

A text of `length` words, one of which decides its class: the first, the one in the middle, or the last; the rest is
filler. Each tower is trained from scratch on fresh texts, all alike; the share of new texts that it then gets right
shows how far it carries a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.clip import text_tower
from model.config import TextConfig, TextTowerConfig

LENGTHS = (8, 16, 32, 64)
PLACES = ("first", "middle", "last")
CLASSES = 8
_FILLER = 56
_BATCH, _TESTED, _RATE = 32, 512, 3e-3
REFERENCE = TextConfig(
    width=80, layers=2, heads=4, mlp_ratio=3.0, vocab_size=CLASSES + _FILLER, context_length=max(LENGTHS)
)
"""The Transformer of the probe."""


def probe(
    towers: Mapping[str, TextTowerConfig], steps: int, lengths: tuple[int, ...] = LENGTHS
) -> Iterator[dict[str, Any]]:
    """One row a tower, length and place of the word that decides: how many of new texts it gets right."""
    for length in lengths:
        for place in PLACES:
            for name, config in towers.items():
                yield {"tower": name, "length": length, "place": place, "accuracy": learn(config, length, place, steps)}


def learn(config: TextTowerConfig, length: int, place: str, steps: int) -> float:
    """Train a tower and a linear layer on it from scratch; returns the share of new texts that it gets right."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    tower, head = text_tower(config), nn.Linear(config.feature_width, CLASSES)
    parameters = [*tower.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, (step + 1) / 20) * (1 - step / steps))
    for _ in range(steps):
        ids, classes = texts(_BATCH, length, place, generator)
        loss = functional.cross_entropy(head(tower(ids, torch.ones_like(ids, dtype=torch.bool))), classes)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
    ids, classes = texts(_TESTED, length, place, generator)
    with torch.no_grad():
        said = head(tower(ids, torch.ones_like(ids, dtype=torch.bool))).argmax(dim=1)
    return int((said == classes).sum()) / len(classes)


def texts(count: int, length: int, place: str, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Random texts (count, length) of filler with one of `CLASSES` words in its place, and which it is (count,)."""
    ids = torch.randint(CLASSES, CLASSES + _FILLER, (count, length), generator=generator)
    classes = torch.randint(CLASSES, (count,), generator=generator)
    ids[:, place_of(place, length)] = classes
    return ids, classes


def place_of(place: str, length: int) -> int:
    """The index of the word that decides in a text of `length` words."""
    return {"first": 0, "middle": length // 2, "last": length - 1}[place]


def influence(
    towers: Mapping[str, TextTowerConfig], length: int = 64, texts_each: int = 32
) -> Mapping[str, list[float]]:
    """Of each tower, untrained: how strongly its feature depends on each token of a text, first to last; the sum is 1.

    It is the norm of the gradient of random projections of the feature by the token's embedding.
    """
    found = {}
    for name, config in towers.items():
        torch.manual_seed(0)
        tower = text_tower(config)
        embedded: list[Tensor] = []
        tower.token_embedding.register_forward_hook(lambda _, __, out, kept=embedded: kept.append(out))
        ids = torch.randint(config.vocab_size, (texts_each, length))
        feature = tower(ids, torch.ones_like(ids, dtype=torch.bool))
        (gradient,) = torch.autograd.grad(feature, embedded, torch.randn_like(feature))
        share = gradient.norm(dim=2).mean(dim=0)
        found[name] = (share / share.sum()).tolist()
    return found
