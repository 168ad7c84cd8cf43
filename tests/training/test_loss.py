"""The losses are what the papers say, pair by pair."""

import math

import pytest
import torch
from torch.nn import functional

from training.loss import contrastive_loss, style_loss


def unit(n: int, dim: int = 6) -> torch.Tensor:
    return functional.normalize(torch.randn(n, dim), dim=1).requires_grad_()


def naive_direction(rows: torch.Tensor, columns: torch.Tensor, concepts: list[int], scale: float) -> float:
    """Cross-entropy with the target shared evenly among the positives of each row, one pair at a time."""
    total = 0.0
    for i, row in enumerate(rows):
        scores = [scale * (row @ column).item() for column in columns]
        normaliser = math.log(sum(math.exp(score) for score in scores))
        positives = [j for j, concept in enumerate(concepts) if concept == concepts[i]]
        total += sum(normaliser - scores[j] for j in positives) / len(positives)
    return total / len(rows)


@pytest.mark.parametrize("concepts", [[0, 1, 2, 3, 4], [0, 0, 1, 1, 2], [7, 7, 7, 7, 7]])
def test_contrastive_loss_equals_the_double_loop(concepts):
    torch.manual_seed(0)
    images, texts = unit(5), unit(5)
    actual = contrastive_loss(images, texts, torch.tensor(concepts), torch.tensor(10.0))
    expected = (naive_direction(images, texts, concepts, 10.0) + naive_direction(texts, images, concepts, 10.0)) / 2
    assert actual.item() == pytest.approx(expected, rel=1e-5)


def test_without_shared_concepts_it_is_the_loss_of_clip():
    torch.manual_seed(0)
    images, texts = unit(6), unit(6)
    logits = 5.0 * images @ texts.T
    labels = torch.arange(6)
    expected = (functional.cross_entropy(logits, labels) + functional.cross_entropy(logits.T, labels)) / 2
    torch.testing.assert_close(contrastive_loss(images, texts, labels, torch.tensor(5.0)), expected)


def test_style_loss_equals_the_double_loop():
    torch.manual_seed(0)
    images, concepts = unit(5), [0, 0, 0, 1, 2]
    terms = []
    for i in range(5):
        others = {j: (images[i] @ images[j]).item() / 0.1 for j in range(5) if j != i}
        normaliser = math.log(sum(math.exp(score) for score in others.values()))
        positives = [j for j in others if concepts[j] == concepts[i]]
        if positives:
            terms.append(sum(normaliser - others[j] for j in positives) / len(positives))
    actual = style_loss(images, torch.tensor(concepts))
    assert actual.item() == pytest.approx(sum(terms) / len(terms), rel=1e-5)
    actual.backward()
    assert torch.isfinite(images.grad).all()


def test_style_loss_of_strangers_is_zero_and_has_a_gradient():
    images = unit(4)
    loss = style_loss(images, torch.arange(4))
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(images.grad).all()
