"""A token in the wrong place, or a picture of another size with garbled positions, is silently misread."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from model.embedding import (
    ContinuousEmbedding,
    LearnedPositions,
    PatchEmbedding,
    SinusoidalPositions,
    TokenEmbedding,
    interpolate_positions,
    sinusoidal_positions,
)


def test_token_embedding_is_a_product_with_one_hot_vectors():
    torch.manual_seed(0)
    embedding, ids = TokenEmbedding(7, 4), torch.randint(7, (2, 5))
    one_hot = torch.nn.functional.one_hot(ids, 7).float()
    torch.testing.assert_close(embedding(ids), one_hot @ embedding.weight)


def test_patch_embedding_is_one_linear_map_of_each_patch():
    torch.manual_seed(0)
    embedding, pixels = PatchEmbedding(3, 4, 10), torch.randn(2, 3, 8, 12)
    weight, bias = embedding.linear.linear.weight, embedding.linear.linear.bias
    convolved = torch.nn.functional.conv2d(pixels, weight.unflatten(1, (3, 4, 4)), bias, stride=4)
    torch.testing.assert_close(embedding(pixels), convolved.flatten(2).transpose(1, 2), atol=1e-5, rtol=1e-5)


def test_embeddings_start_with_unit_variance():
    torch.manual_seed(0)
    for vectors in (
        TokenEmbedding(50, 64)(torch.randint(50, (10, 20))),
        ContinuousEmbedding(30, 64)(torch.randn(10, 20, 30)),
        PatchEmbedding(3, 8, 64)(torch.randn(10, 3, 32, 32)),
    ):
        assert 0.9 < vectors.std().item() < 1.1


def test_sinusoidal_positions_are_those_of_the_paper():
    table = sinusoidal_positions(50, 6)
    place = np.arange(50)
    for i in range(3):
        wave = place / 10000 ** (2 * i / 6)
        np.testing.assert_allclose(table[:, 2 * i], np.sin(wave), atol=1e-6)
        np.testing.assert_allclose(table[:, 2 * i + 1], np.cos(wave), atol=1e-6)
    assert sinusoidal_positions(4, 5).shape == (4, 5)


@settings(max_examples=25, deadline=None)
@given(a=st.integers(0, 400), b=st.integers(0, 400), shift=st.integers(0, 100))
def test_sinusoidal_positions_know_distances(a, b, shift):
    """The product of two places depends on how far apart they are, not on where."""
    table = sinusoidal_positions(501, 32).double()
    assert (table[a] @ table[b]).item() == pytest.approx((table[a + shift] @ table[b + shift]).item(), abs=1e-5)


@pytest.mark.parametrize("kind", [LearnedPositions, SinusoidalPositions])
def test_positions_go_on_from_where_decoding_is(kind):
    torch.manual_seed(0)
    positions, x = kind(9, 4), torch.randn(2, 9, 4)
    parts = [positions(x[:, :4]), positions(x[:, 4:5], start=4), positions(x[:, 5:], start=5)]
    torch.testing.assert_close(torch.cat(parts, dim=1), positions(x))
    with pytest.raises(ValueError, match="10 tokens, but positions for 9"):
        positions(x[:, :2], start=8)


def test_only_learned_positions_are_weights():
    assert list(SinusoidalPositions(9, 4).state_dict()) == []
    assert list(LearnedPositions(9, 4).state_dict()) == ["table"]


@pytest.mark.parametrize(("old", "new"), [((7, 7), (16, 16)), ((14, 14), (5, 9)), ((4, 6), (6, 4))])
@pytest.mark.parametrize("prefix", [0, 1])
def test_interpolated_positions_are_pillows_bicubic(old, new, prefix):
    """Another implementation of the same filter, plane by plane."""
    torch.manual_seed(0)
    positions = torch.randn(1, prefix + old[0] * old[1], 3)
    actual = interpolate_positions(positions, old, new, prefix)
    assert actual.shape == (1, prefix + new[0] * new[1], 3)
    assert torch.equal(actual[:, :prefix], positions[:, :prefix]), "a class token has no place to move"
    for plane in range(3):
        image = Image.fromarray(positions[0, prefix:, plane].reshape(old).numpy())
        expected = np.asarray(image.resize((new[1], new[0]), Image.Resampling.BICUBIC))
        np.testing.assert_allclose(actual[0, prefix:, plane].reshape(new), expected, atol=1e-5)


def test_positions_of_the_same_grid_stay_as_they_are():
    positions = torch.randn(17, 8)
    assert interpolate_positions(positions, (4, 4), (4, 4), 1) is positions
    assert interpolate_positions(positions.half(), (4, 4), (6, 6), 1).dtype == torch.float16


def test_positions_of_another_grid_are_an_error():
    with pytest.raises(ValueError, match="17 positions are not a grid of 4 × 4 and 0 before it"):
        interpolate_positions(torch.randn(1, 17, 8), (4, 4), (8, 8))
