"""One encoder over picture and text learns which belong together, down to one wrong word."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from model.embedding import ContinuousEmbedding, PatchEmbedding, TokenEmbedding
from model.joint import JointEncoder

SIDE, PATCH, SHAPE = 12, 4, 8
COLOURS = torch.tensor([[1.0, -1, -1], [-1, 1, -1], [-1, -1, 1], [1, 1, -1]])  # red, green, blue, yellow
WORDS = 4 + 3  # the colours, then square, frame and cross


def shapes() -> Tensor:
    """A square, a frame and a cross (3, SHAPE, SHAPE), 1 where there is paint."""
    square, frame, cross = torch.ones(SHAPE, SHAPE), torch.ones(SHAPE, SHAPE), torch.zeros(SHAPE, SHAPE)
    frame[1:-1, 1:-1] = 0
    middle = slice(SHAPE // 2 - 1, SHAPE // 2 + 1)
    cross[middle] = cross[:, middle] = 1
    return torch.stack([square, frame, cross])


def draw(colour: Tensor, shape: Tensor) -> Tensor:
    """Pictures (B, 3, SIDE, SIDE) of these colours and shapes (B,): anywhere on grey, with noise."""
    paint = torch.zeros(len(shape), SIDE, SIDE)
    for canvas, drawn in zip(paint, shapes()[shape], strict=True):
        y, x = torch.randint(SIDE - SHAPE + 1, (2,))
        canvas[y : y + SHAPE, x : x + SHAPE] = drawn
    return paint[:, None] * COLOURS[colour][:, :, None, None] + 0.2 * torch.randn(len(shape), 3, SIDE, SIDE)


def pairs(count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures, two words for each (B, 2), and whether they match (B,): half do, the others in one word or none."""
    colour, shape = torch.randint(4, (count,)), torch.randint(3, (count,))
    match, wrong = torch.rand(count) < 0.5, torch.randint(3, (count,))
    said_colour = torch.where(match | (wrong == 0), colour, (colour + torch.randint(1, 4, (count,))) % 4)
    said_shape = torch.where(match | (wrong == 1), shape, (shape + torch.randint(1, 3, (count,))) % 3)
    return draw(colour, shape), torch.stack([said_colour, 4 + said_shape], dim=1), match


def joint(**changes: object) -> JointEncoder:
    arguments = {
        "image_embedding": PatchEmbedding(3, PATCH, 64),
        "image_tokens": (SIDE // PATCH) ** 2,
        "text_embedding": TokenEmbedding(WORDS, 64),
        "text_tokens": 4,
        "layers": 2,
        "heads": 4,
        "mlp_ratio": 2,
    }
    return JointEncoder(**(arguments | changes))


def test_learns_which_words_match_which_picture():
    torch.manual_seed(0)
    steps, model, real = 300, joint(), torch.ones(1000, 2, dtype=torch.bool)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, betas=(0.9, 0.98), weight_decay=0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps, pct_start=0.1)
    for _ in range(steps):
        pictures, words, match = pairs(128)
        logits = model(pictures, words, real[:128])[:, 0]
        loss = functional.binary_cross_entropy_with_logits(logits, match.float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()

    pictures, words, match = pairs(1000)
    with torch.no_grad():
        says = model(pictures, words, real)[:, 0] > 0
    assert (says == match).float().mean() >= 0.95


def test_padding_changes_nothing():
    torch.manual_seed(0)
    model = joint()
    pictures, words, _ = pairs(3)
    mask = torch.tensor([[True, True, False, False]]).expand(3, -1)
    for padding in (0, 5):
        padded = functional.pad(words, (0, 2), value=padding)
        torch.testing.assert_close(model(pictures, padded, mask), model(pictures, words, mask[:, :2]))


def test_modality_tells_a_patch_from_a_word():
    """Without it, a picture and a text that trade their vectors would be the same pair."""
    torch.manual_seed(0)
    model = joint(image_embedding=ContinuousEmbedding(64, 64), image_tokens=4)
    nn.init.eye_(model.image_embedding.linear.weight)
    model.image_positions.load_state_dict(model.text_positions.state_dict())
    one, other = torch.randn(2, 4, 64)

    def pair(picture: Tensor, text: Tensor) -> Tensor:
        model.text_embedding.weight.data[:4] = text
        return model(picture[None], torch.arange(4)[None], torch.ones(1, 4, dtype=torch.bool))

    assert (pair(one, other) - pair(other, one)).abs().max() > 1e-2
    model.text_modality.data = model.image_modality.data
    torch.testing.assert_close(pair(one, other), pair(other, one))


@pytest.mark.parametrize("continuous", [False, True])
def test_every_parameter_gets_a_gradient(continuous):
    torch.manual_seed(0)
    model = joint(outputs=3, output_activation=torch.sigmoid)
    image = torch.randn(2, 3, SIDE, SIDE)
    if continuous:
        model, image = joint(image_embedding=ContinuousEmbedding(5, 64)), torch.randn(2, 9, 5)
    out = model(image, torch.arange(7)[None, :4].expand(2, -1), torch.ones(2, 4, dtype=torch.bool))
    assert out.shape == (2, 1 if continuous else 3)
    out.square().mean().backward()
    # softmax ignores what all keys share, so a key's bias has no gradient but rounding
    still = [n for n, p in model.named_parameters() if not n.endswith("key.bias") and not p.grad.abs().sum() > 0]
    assert still == []
