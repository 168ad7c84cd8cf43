"""Each tower computes what its paper says, and padding or batch mates change no vector."""

import pytest
import torch
from torch.nn import functional

from model.clip import CLIP
from model.resnet import BasicBlock
from model.vit import ViT
from tests.model.tiny import SIZE, TOWERS, config


@pytest.mark.parametrize("tower", TOWERS.values(), ids=TOWERS.keys())
def test_vectors_have_unit_length_and_do_not_depend_on_the_batch(tower):
    torch.manual_seed(0)
    model = CLIP(config(tower)).eval()
    pixels = torch.randn(5, 3, SIZE, SIZE)
    together = model.encode_image(pixels)
    assert together.shape == (5, 8)
    torch.testing.assert_close(together.norm(dim=1), torch.ones(5))
    alone = torch.cat([model.encode_image(picture[None]) for picture in pixels])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("tower", TOWERS.values(), ids=TOWERS.keys())
def test_every_parameter_gets_a_gradient(tower):
    torch.manual_seed(0)
    model = CLIP(config(tower))
    for name, parameter in model.named_parameters():
        if name.endswith("norm2.weight"):
            torch.nn.init.ones_(parameter)  # zero by design at the start, which hides what lies behind it
    images = model.encode_image(torch.randn(6, 3, SIZE, SIZE))
    ids = torch.randint(3, 300, (6, 7))
    texts = model.encode_text(ids, torch.ones_like(ids, dtype=torch.bool))
    logits = model.log_logit_scale.exp() * images @ texts.T
    functional.cross_entropy(logits, torch.arange(6)).backward()
    without = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    # softmax ignores what all keys share, so a key's bias has no gradient but rounding
    still = [n for n, p in model.named_parameters() if not n.endswith("key.bias") and not p.grad.abs().sum() > 0]
    assert (without, still) == ([], [])


def test_padding_changes_no_text_vector():
    torch.manual_seed(0)
    model = CLIP(config()).eval()
    ids = torch.randint(3, 300, (1, 5))
    padded = functional.pad(ids, (0, 6))
    mask = functional.pad(torch.ones(1, 5, dtype=torch.bool), (0, 6))
    alone = model.encode_text(ids, torch.ones(1, 5, dtype=torch.bool))
    torch.testing.assert_close(model.encode_text(padded, mask), alone, atol=1e-6, rtol=1e-6)


def test_patch_embedding_is_one_linear_map_of_each_patch():
    torch.manual_seed(0)
    tower = ViT(TOWERS["vit"])
    pixels = torch.randn(2, 3, SIZE, SIZE)
    patches = functional.unfold(pixels, 8, stride=8).transpose(1, 2)  # (B, T, 3 · 8 · 8)
    expected = patches @ tower.patch_embedding.weight.flatten(1).T + tower.patch_embedding.bias
    actual = tower.patch_embedding(pixels).flatten(2).transpose(1, 2)
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


def test_a_residual_block_starts_as_the_identity():
    x = torch.rand(2, 4, 6, 6)
    torch.testing.assert_close(BasicBlock(4, 4, stride=1)(x), x)
