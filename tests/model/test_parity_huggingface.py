"""A checkpoint of transformers, imported, gives the vectors that it gives there: CLIP, SigLIP and SigLIP 2."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPConfig, CLIPModel, Siglip2Config, Siglip2Model, SiglipConfig, SiglipModel

from benchmarks.parity import randomise, their_vectors, write_tokenizer
from model.clip import CLIP
from model.importing.checkpoint import Wishes, import_checkpoint
from model.torch_runtime import read_model

CONTEXT, VOCABULARY, START, END = 20, 100, 98, 99
WIDTH = {"hidden_size": 32, "intermediate_size": 56, "num_hidden_layers": 2, "num_attention_heads": 4}
TEXT = WIDTH | {
    "vocab_size": VOCABULARY,
    "max_position_embeddings": CONTEXT,
    "bos_token_id": START,
    "eos_token_id": END,
    "pad_token_id": END,
}
TEXTS = ["w1", "w2 w3 w4", " ".join(f"w{n}" for n in range(5, 40)), "", "w7 w7", "w8 w9", "w9 w8", "w97"]


def clip(activation: str) -> CLIPModel:
    # 30 pixels are three patches of eight and a rest
    vision = WIDTH | {"image_size": 30, "patch_size": 8, "hidden_act": activation}
    text = TEXT | {"hidden_act": activation}
    return CLIPModel(CLIPConfig(vision_config=vision, text_config=text, projection_dim=24))


def siglip() -> SiglipModel:
    vision = WIDTH | {"image_size": 35, "patch_size": 8}
    return SiglipModel(SiglipConfig(vision_config=vision, text_config=TEXT | {"projection_size": 32}))


def siglip2() -> Siglip2Model:
    vision = WIDTH | {"num_patches": 16, "patch_size": 8}
    return Siglip2Model(Siglip2Config(vision_config=vision, text_config=TEXT | {"projection_size": 32}))


CHECKPOINTS = {
    "clip-quick_gelu": lambda: clip("quick_gelu"),
    "clip-gelu": lambda: clip("gelu"),
    "siglip": siglip,
    "siglip2": siglip2,
}


@dataclass
class Pair:
    """A model of transformers, the same one imported, and eight inputs."""

    theirs: nn.Module
    ours: CLIP
    pixels: Tensor
    ids: Tensor
    mask: Tensor

    def their_vectors(self) -> tuple[Tensor, Tensor]:
        return their_vectors(self.theirs, self.pixels, self.ids, self.mask)

    def our_vectors(self) -> tuple[Tensor, Tensor]:
        return self.ours.encode_image(self.pixels), self.ours.encode_text(self.ids, self.mask)


@pytest.fixture(scope="module", params=CHECKPOINTS)
def pair(request, tmp_path_factory) -> Pair:
    torch.manual_seed(0)
    theirs = CHECKPOINTS[request.param]().eval()
    randomise(theirs)
    source = tmp_path_factory.mktemp("source")
    theirs.save_pretrained(source)
    write_tokenizer(source, START)
    folder, _ = import_checkpoint(str(source), tmp_path_factory.mktemp("model"), Wishes())
    side = folder.config.vision.image_size
    ids, mask = (torch.from_numpy(array) for array in folder.tokenizer.encode(TEXTS))
    return Pair(theirs, read_model(folder), torch.randn(8, 3, side, side), ids, mask)


def test_vectors_are_those_of_transformers(pair):
    with torch.inference_mode():
        for actual, expected in zip(pair.our_vectors(), pair.their_vectors(), strict=True):
            assert (actual - expected).abs().max() <= 1e-5
            assert torch.pdist(expected).min() > 0.05, "eight different inputs"


def test_logits_are_those_of_transformers(pair):
    """The scale is taken as it is, beyond the bound of training too."""
    torch.testing.assert_close(pair.ours.log_logit_scale, pair.theirs.logit_scale.squeeze())
    bias = getattr(pair.theirs, "logit_bias", None)
    assert (pair.ours.logit_bias is None) == (bias is None)
    if bias is not None:
        torch.testing.assert_close(pair.ours.logit_bias, bias.squeeze())


def test_gradients_are_those_of_transformers(pair):
    """So that a model can be trained on from where its authors stopped."""
    pair.pixels.requires_grad_()
    gradients = []
    for model, (images, texts) in ((pair.ours, pair.our_vectors()), (pair.theirs, pair.their_vectors())):
        embedding = (model.text_tower if model is pair.ours else model.text_model.embeddings).token_embedding
        loss = functional.cross_entropy(10 * images @ texts.T, torch.arange(8))
        gradients.append(torch.autograd.grad(loss, [pair.pixels, embedding.weight]))
    for mine, their_own in zip(*gradients, strict=True):
        assert their_own.abs().max() > 1e-3
        torch.testing.assert_close(mine, their_own, atol=1e-6, rtol=1e-4)
