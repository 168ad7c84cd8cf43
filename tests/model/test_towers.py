"""Each tower computes what its paper says, and batch mates and padding change no vector."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from model.clip import CLIP
from model.config import (
    ModelConfig,
    ModifiedResNetConfig,
    TextConfig,
    TokenizationConfig,
    VisionConfig,
    ViTConfig,
)
from model.embedding import interpolate_positions
from model.resnet import BasicBlock
from model.vit import ViT
from tests.model.tiny import CONTEXT, EOT, SIZE, TEXTS, TOWERS, VOCABULARY, config

PARTS = [(vision, "mean") for vision in TOWERS] + [("vit", text) for text in TEXTS if text != "mean"]


def clip(vision: str = "vit", text: str = "mean") -> CLIP:
    torch.manual_seed(0)
    return CLIP(config(TOWERS[vision], TEXTS[text])).eval()


def texts(lengths: list[int], padded_to: int | None = None) -> tuple[Tensor, Tensor]:
    """Random texts that end in EOT, with padding behind: ids and mask (B, T)."""
    padded_to = padded_to or max(lengths)
    mask = torch.arange(padded_to) < torch.tensor(lengths)[:, None]
    ids = torch.randint(3, VOCABULARY, mask.shape) * mask
    ids[torch.arange(len(lengths)), torch.tensor(lengths) - 1] = EOT
    return ids, mask


@pytest.mark.parametrize("vision", TOWERS)
def test_vectors_have_unit_length_and_do_not_depend_on_the_batch(vision):
    model, side = clip(vision), TOWERS[vision].image_size
    pixels = torch.randn(5, 3, side, side)
    together = model.encode_image(pixels)
    assert together.shape == (5, 8)
    torch.testing.assert_close(together.norm(dim=1), torch.ones(5))
    alone = torch.cat([model.encode_image(picture[None]) for picture in pixels])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("vision", "text"), PARTS)
def test_every_parameter_gets_a_gradient(vision, text):
    model, side = clip(vision, text).train(), TOWERS[vision].image_size
    for name, parameter in model.named_parameters():
        if name.endswith(("norm2.weight", "norm3.weight")):
            torch.nn.init.ones_(parameter)  # zero by design at the start, which hides what lies behind it
    images = model.encode_image(torch.randn(6, 3, side, side))
    logits = model.log_logit_scale.exp() * images @ model.encode_text(*texts([CONTEXT] * 6)).T
    if model.logit_bias is None:
        functional.cross_entropy(logits, torch.arange(6)).backward()
    else:
        functional.binary_cross_entropy_with_logits(logits + model.logit_bias, torch.eye(6)).backward()
    without = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    # softmax ignores what all keys share, so a key's bias has no gradient but rounding
    still = [n for n, p in model.named_parameters() if not n.endswith("key.bias") and not p.grad.abs().sum() > 0]
    assert (without, still) == ([], [])


@pytest.mark.parametrize("text", [name for name in TEXTS if name != "siglip"])
@settings(max_examples=10, deadline=None)
@given(lengths=st.lists(st.integers(1, CONTEXT), min_size=1, max_size=4), more=st.integers(0, CONTEXT))
def test_neither_padding_nor_other_texts_change_a_vector(text, lengths, more):
    model = clip(text=text)
    ids, mask = texts(lengths, min(CONTEXT, max(lengths) + more))
    together = model.encode_text(ids, mask)
    for row, length in enumerate(lengths):
        alone = model.encode_text(ids[row : row + 1, :length], mask[row : row + 1, :length])
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=1e-5)


def test_behind_the_first_end_token_nothing_matters_to_clip():
    """So a batch may be as long as its longest text, whatever stands in the padding: zeros, or the end token again."""
    model = clip(text="clip")
    ids, mask = texts([4], CONTEXT)
    expected = model.encode_text(ids[:, :4], mask[:, :4])
    for behind in (torch.zeros(1, 8), torch.full((1, 8), EOT), torch.randint(3, VOCABULARY, (1, 8))):
        ids[:, 4:] = behind
        for seen in (mask, torch.ones_like(mask)):
            for length in (4, 9, CONTEXT):
                actual = model.encode_text(ids[:, :length], seen[:, :length])
                torch.testing.assert_close(actual, expected, atol=1e-6, rtol=1e-5)
    assert not torch.allclose(model.encode_text(ids[:, :4].flip(1).roll(-1), mask[:, :4]), expected, atol=1e-3)


def test_siglip_reads_its_padding():
    """As it was trained; a shorter batch, or another padding token, would be another vector."""
    model = clip(text="siglip")
    ids, mask = texts([4], CONTEXT)
    expected = model.encode_text(ids, mask)
    assert torch.equal(model.encode_text(ids, torch.ones_like(mask)), expected)
    assert not torch.allclose(model.encode_text(ids[:, :8], mask[:, :8]), expected, atol=1e-3)
    assert not torch.allclose(model.encode_text(torch.where(mask, ids, 1), mask), expected, atol=1e-3)


def test_patch_embedding_is_one_linear_map_of_each_patch():
    torch.manual_seed(0)
    tower = ViT(TOWERS["vit"])
    pixels = torch.randn(2, 3, SIZE, SIZE)
    patches = functional.unfold(pixels, 8, stride=8).transpose(1, 2)  # (B, T, 3 · 8 · 8)
    expected = patches @ tower.patch_embedding.weight.flatten(1).T + tower.patch_embedding.bias
    actual = tower.patch_embedding(pixels).flatten(2).transpose(1, 2)
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


def test_mean_pooling_leaves_the_class_token_out_and_cut_off_pixels_do_not_matter():
    torch.manual_seed(0)
    tower = ViT(TOWERS["vit-mean"]).eval()  # 16 pixels, of which patches of 7 cover 14
    pixels = torch.randn(2, 3, SIZE, SIZE)
    patches = tower.patch_embedding(pixels).flatten(2).transpose(1, 2)
    tokens = torch.cat([tower.class_token.expand(2, -1, -1), patches], dim=1) + tower.position_embedding
    torch.testing.assert_close(tower(pixels), tower.encoder(tokens)[:, 1:].mean(dim=1))
    torch.testing.assert_close(tower(pixels), tower(torch.cat([pixels[..., :14], pixels[..., :2]], dim=3)))


@pytest.mark.parametrize("vision", ["vit-clip", "vit-mean", "vit-map"])
def test_a_picture_of_another_resolution_gets_interpolated_positions(vision):
    torch.manual_seed(0)
    config = TOWERS[vision]
    tower, larger = ViT(config).eval(), ViT(config.model_copy(update={"image_size": 3 * SIZE})).eval()
    weights, grid = tower.state_dict(), larger.grid
    weights["position_embedding"] = interpolate_positions(
        tower.position_embedding.detach(), tower.grid, grid, prefix=int(config.class_token)
    )
    larger.load_state_dict(weights)
    pixels = torch.randn(2, 3, 3 * SIZE, 3 * SIZE)
    torch.testing.assert_close(tower(pixels), larger(pixels), atol=1e-6, rtol=1e-5)
    assert tower(pixels[:, :, :SIZE]).shape == (2, 16), "pictures may be wider than high"


def test_a_residual_block_starts_as_the_identity():
    x = torch.rand(2, 4, 6, 6)
    torch.testing.assert_close(BasicBlock(4, 4, stride=1)(x), x)


def clip_model(vision: VisionConfig, embedding_dim: int, text_width: int) -> ModelConfig:
    text = TextConfig(
        vocab_size=49408, context_length=77, width=text_width, layers=12, heads=text_width // 64, attention="causal",
        pooling="first_eot", eot_id=49407,
    )  # fmt: skip
    projection = "linear" if isinstance(vision, ViTConfig) else "none"
    return ModelConfig(name="CLIP", embedding_dim=embedding_dim, vision=vision, text=text, image_projection=projection)


def clip_vit(image_size: int, patch_size: int, width: int, layers: int, embedding_dim: int) -> ModelConfig:
    vision = ViTConfig(
        image_size=image_size, patch_size=patch_size, width=width, layers=layers, heads=width // 64, patch_bias=False,
        input_norm=True,
    )  # fmt: skip
    return clip_model(vision, embedding_dim, embedding_dim)


def clip_resnet(
    image_size: int, width: int, depths: tuple[int, int, int, int], embedding_dim: int, text_width: int
) -> ModelConfig:
    vision = ModifiedResNetConfig(
        image_size=image_size, width=width, stage_depths=depths, heads=width // 2, output_width=embedding_dim
    )
    return clip_model(vision, embedding_dim, text_width)


def siglip(image_size: int, patch_size: int, width: int, layers: int, heads: int, hidden: int) -> ModelConfig:
    stack = {"width": width, "layers": layers, "heads": heads, "mlp_ratio": hidden / width}
    return ModelConfig(
        name="SigLIP", embedding_dim=width, image_projection="none", text_projection="affine", logit_bias=True,
        tokenization=TokenizationConfig(padding="context"),
        vision=ViTConfig(image_size=image_size, patch_size=patch_size, class_token=False, pooling="map", **stack),
        text=TextConfig(vocab_size=32000, context_length=64, attends_padding=True, pooling="last", **stack),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("known", "millions"),
    [
        pytest.param(clip_vit(224, 32, 768, 12, 512), 151.28, id="ViT-B/32"),
        pytest.param(clip_vit(224, 16, 768, 12, 512), 149.62, id="ViT-B/16"),
        pytest.param(clip_vit(336, 14, 1024, 24, 768), 427.94, id="ViT-L/14@336"),
        pytest.param(clip_resnet(224, 64, (3, 4, 6, 3), 1024, 512), 102.01, id="RN50"),
        pytest.param(clip_resnet(224, 64, (3, 4, 23, 3), 512, 512), 119.69, id="RN101"),
        pytest.param(clip_resnet(288, 80, (4, 6, 10, 6), 640, 640), 178.30, id="RN50x4"),
        pytest.param(clip_resnet(384, 96, (6, 8, 18, 8), 768, 768), 290.98, id="RN50x16"),
        pytest.param(clip_resnet(448, 128, (3, 15, 36, 10), 1024, 1024), 623.26, id="RN50x64"),
        pytest.param(siglip(224, 16, 768, 12, 12, 3072), 203.16, id="SigLIP-B/16"),
        pytest.param(siglip(384, 14, 1152, 27, 16, 4304), 877.96, id="SigLIP-SO400M/14@384"),
    ],
)
def test_the_known_models_have_as_many_parameters_as_are_published(known, millions):
    """Those of the open_clip project's table of models."""
    with torch.device("meta"):
        model = CLIP(known)
    assert sum(parameter.numel() for parameter in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.006)
