"""The losses are what the papers say, pair by pair, however many pairs they hold at once."""

import math

import pytest
import torch
from torch.nn import functional

from training.loop import blockwise
from training.loop.loss import contrastive_loss, sigmoid_loss, style_loss

CASES = [
    ([0, 1, 2, 3, 4], [0, 1, 2, 3, 4]),
    ([0, 0, 1, 1, 2], [0, 0, 1, 1, 2]),
    ([7, 7, 7, 7, 7], [7, 7, 7, 7, 7]),
    ([0, 1, 1, 2], [0, 0, 0, 1, 1, 1, 1, 1, 1, 2, 2, 2]),  # three texts a picture
]


@pytest.fixture(params=[None, 7], ids=["at once", "in blocks"])
def block(request, monkeypatch):
    """Scores held at once: all of them, or the rows of one or two pictures."""
    if request.param:
        monkeypatch.setattr(blockwise, "_BLOCK", request.param)


def unit(n: int, dim: int = 6) -> torch.Tensor:
    return functional.normalize(torch.randn(n, dim, dtype=torch.float64), dim=1).requires_grad_()


def naive_direction(
    rows: torch.Tensor, columns: torch.Tensor, row_concepts: list[int], column_concepts: list[int], scale: torch.Tensor
) -> torch.Tensor:
    """Cross-entropy with the target shared evenly among the positives of each row, one pair at a time."""
    total = torch.zeros((), dtype=torch.float64)
    for row, concept in zip(rows, row_concepts, strict=True):
        scores = [scale * (row @ column) for column in columns]
        normaliser = torch.log(sum(torch.exp(score) for score in scores))
        positives = [score for score, other in zip(scores, column_concepts, strict=True) if other == concept]
        total = total + sum(normaliser - score for score in positives) / len(positives)
    return total / len(rows)


def naive_contrastive(images, texts, image_concepts, text_concepts, scale):
    of_images = naive_direction(images, texts, image_concepts, text_concepts, scale)
    return (of_images + naive_direction(texts, images, text_concepts, image_concepts, scale)) / 2


def naive_sigmoid(images, texts, image_concepts, text_concepts, scale, bias):
    total = torch.zeros((), dtype=torch.float64)
    for image, concept in zip(images, image_concepts, strict=True):
        for text, other in zip(texts, text_concepts, strict=True):
            sign = 1 if concept == other else -1
            total = total + torch.log(1 + torch.exp(-sign * (scale * (image @ text) + bias)))
    return total / len(texts)


def naive_style(images, concepts):
    terms = []
    for i, image in enumerate(images):
        scores = {j: (image @ images[j]) / 0.1 for j in range(len(images)) if j != i}
        normaliser = torch.log(sum(torch.exp(score) for score in scores.values()))
        positives = [score for j, score in scores.items() if concepts[j] == concepts[i]]
        if positives:
            terms.append(sum(normaliser - score for score in positives) / len(positives))
    return sum(terms) / len(terms)


def assert_same(fast: torch.Tensor, slow: torch.Tensor, inputs: list[torch.Tensor]) -> None:
    """Value and all gradients, to the last digits of float64."""
    torch.testing.assert_close(fast, slow, rtol=1e-12, atol=1e-12)
    one, other = (torch.autograd.grad(value, inputs) for value in (fast, slow))
    torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("image_concepts", "text_concepts"), CASES)
def test_contrastive_loss_equals_the_double_loop(block, image_concepts, text_concepts):
    torch.manual_seed(0)
    images, texts = unit(len(image_concepts)), unit(len(text_concepts))
    scale = torch.tensor(10.0, dtype=torch.float64, requires_grad=True)
    fast = contrastive_loss(images, texts, torch.tensor(image_concepts), torch.tensor(text_concepts), scale)
    slow = naive_contrastive(images, texts, image_concepts, text_concepts, scale)
    assert_same(fast, slow, [images, texts, scale])


@pytest.mark.parametrize(("image_concepts", "text_concepts"), CASES)
def test_sigmoid_loss_equals_the_double_loop(block, image_concepts, text_concepts):
    torch.manual_seed(0)
    images, texts = unit(len(image_concepts)), unit(len(text_concepts))
    scale, bias = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (10.0, -10.0))
    fast = sigmoid_loss(images, texts, torch.tensor(image_concepts), torch.tensor(text_concepts), scale, bias)
    slow = naive_sigmoid(images, texts, image_concepts, text_concepts, scale, bias)
    assert_same(fast, slow, [images, texts, scale, bias])


def test_style_loss_equals_the_double_loop(block):
    torch.manual_seed(0)
    images, concepts = unit(6), [0, 1, 0, 0, 2, 1]
    assert_same(style_loss(images, torch.tensor(concepts)), naive_style(images, concepts), [images])


def test_without_shared_concepts_it_is_the_loss_of_clip():
    torch.manual_seed(0)
    images, texts = unit(6), unit(6)
    logits = 5.0 * images @ texts.T
    labels = torch.arange(6)
    expected = (functional.cross_entropy(logits, labels) + functional.cross_entropy(logits.T, labels)) / 2
    torch.testing.assert_close(contrastive_loss(images, texts, labels, labels, torch.tensor(5.0)), expected)


def test_without_shared_concepts_the_sigmoid_loss_is_that_of_siglip():
    torch.manual_seed(0)
    images, texts = unit(6), unit(6)
    logits = 10.0 * images @ texts.T - 10.0
    expected = -functional.logsigmoid((2 * torch.eye(6) - 1) * logits).sum() / 6
    labels = torch.arange(6)
    actual = sigmoid_loss(images, texts, labels, labels, torch.tensor(10.0), torch.tensor(-10.0))
    torch.testing.assert_close(actual, expected)


def test_style_loss_of_strangers_is_zero_and_has_a_gradient():
    images = unit(4)
    value = style_loss(images, torch.arange(4))
    value.backward()
    assert value.item() == 0
    assert torch.isfinite(images.grad).all()


def test_a_loss_is_finite_where_vectors_agree_perfectly():
    images = unit(3)
    concepts = torch.arange(3)
    value = contrastive_loss(images, images, concepts, concepts, torch.tensor(100.0))
    value.backward()
    assert math.isfinite(value.item())
    assert torch.isfinite(images.grad).all()
