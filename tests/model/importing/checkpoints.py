"""Tiny checkpoints as other programs write them, with random weights."""

import json
import warnings
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import CLIPConfig, CLIPModel, PreTrainedModel, Siglip2Config, Siglip2Model, SiglipConfig, SiglipModel

from model.clip import CLIP
from model.config import ModelConfig, ModifiedResNetConfig, TextConfig, TokenizationConfig, ViTConfig
from model.layouts import openai
from model.layouts.rule import revert

SIZE, PATCH, CONTEXT = 16, 8, 12
TOWER = {"hidden_size": 16, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 2}
BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
CLIP_TOKENS = [*BYTES, *(f"{byte}</w>" for byte in BYTES), "<|startoftext|>", "<|endoftext|>"]
SIGLIP_TOKENS = ["<pad>", "</s>", "<unk>", "▁", *"abcdefghijklmnopqrstuvwxyz"]
GEMMA_TOKENS = ["<pad>", "<eos>", "<bos>", "<unk>", "▁", *"abcdefghijklmnopqrstuvwxyz"]
TEXTS = ["a red apple", "rocket", "a volcano that is much longer than twelve tokens", ""]


def randomise(model: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Every parameter far from its initial value, so that none can be left out unseen."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model.eval()


def write_clip_vocabulary(folder: Path) -> None:
    """CLIP's vocabulary without its merges."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(CLIP_TOKENS)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")


def write_siglip_vocabulary(folder: Path, gemma: bool = False) -> None:
    """A SentencePiece model of single letters, or Gemma's kind of BPE without merges."""
    if gemma:
        vocabulary = {token: number for number, token in enumerate(GEMMA_TOKENS)}
        made = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>"))
    else:
        made = Tokenizer(models.Unigram([(token, -1.0) for token in SIGLIP_TOKENS], unk_id=2))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    folder.mkdir(parents=True, exist_ok=True)
    made.save(str(folder / "tokenizer.json"))


def clip_config(**changes) -> CLIPConfig:
    act = {"hidden_act": changes.pop("hidden_act", "quick_gelu")}
    size = len(CLIP_TOKENS)
    text = {"vocab_size": size, "max_position_embeddings": CONTEXT, "eos_token_id": size - 1, "bos_token_id": size - 2}
    return CLIPConfig(
        text_config={**TOWER, **act, **text, **changes},
        vision_config={**TOWER, **act, "hidden_size": 24, "image_size": SIZE, "patch_size": PATCH},
        projection_dim=8,
    )


def siglip_config(kind=SiglipConfig, tokens: int = len(SIGLIP_TOKENS)):
    text = {"vocab_size": tokens, "max_position_embeddings": CONTEXT, "bos_token_id": 1, "eos_token_id": 1}
    places = {"num_patches": (SIZE // PATCH) ** 2} if kind is Siglip2Config else {"image_size": SIZE}
    return kind(text_config={**TOWER, **text}, vision_config={**TOWER, **places, "patch_size": PATCH})


def huggingface(folder: Path, kind: str = "clip", **changes) -> PreTrainedModel:
    """A folder as transformers writes it; returns the model."""
    if kind == "clip":
        model = CLIPModel(clip_config(**changes))
        write_clip_vocabulary(folder)
    elif kind == "siglip":
        model = SiglipModel(siglip_config())
        write_siglip_vocabulary(folder)
    else:
        model = Siglip2Model(siglip_config(Siglip2Config, len(GEMMA_TOKENS)))
        write_siglip_vocabulary(folder, gemma=True)
    randomise(model)
    model.save_pretrained(folder)
    return model


def squares(count: int, size: int = SIZE) -> np.ndarray:
    """Preprocessed pictures (count, 3, size, size)."""
    return np.random.default_rng(0).standard_normal((count, 3, size, size), dtype=np.float32)


VIT = ViTConfig(
    image_size=SIZE, patch_size=PATCH, width=128, layers=2, heads=2, patch_bias=False, input_norm=True,
    activation="quick_gelu",
)  # fmt: skip
RESNET = ModifiedResNetConfig(image_size=64, width=4, stage_depths=(1, 2, 1, 1), heads=2, output_width=8)
TEXT = TextConfig(
    vocab_size=len(CLIP_TOKENS), context_length=CONTEXT, width=64, layers=2, heads=1, activation="quick_gelu",
    attention="causal", pooling="first_eot", eot_id=len(CLIP_TOKENS) - 1,
)  # fmt: skip


def clip(vision: ViTConfig | ModifiedResNetConfig = VIT, text: TextConfig = TEXT, **changes) -> ModelConfig:
    """A CLIP whose architecture shows in its shapes as OpenAI's does: heads are 64 wide, MLPs 4 times the width."""
    projection = "linear" if isinstance(vision, ViTConfig) else "none"
    tokenization = TokenizationConfig(cleaning="clip")
    values = {"name": "there", "embedding_dim": 8, "vision": vision, "text": text, "tokenization": tokenization}
    return ModelConfig.model_validate({**values, "image_projection": projection, **changes})


def weights(config: ModelConfig, seed: int = 0) -> dict[str, np.ndarray]:
    """Random weights, batch statistics included."""
    torch.manual_seed(seed)
    model = CLIP(config).train()
    with torch.no_grad():
        model.encode_image(torch.randn(4, 3, config.vision.image_size, config.vision.image_size))
    return {name: value.detach().numpy().copy() for name, value in randomise(model, seed).state_dict().items()}


def openai_names(config: ModelConfig, text: str = "") -> dict[str, torch.Tensor]:
    """The state dict that OpenAI's CLIP or open_clip would have."""
    made = revert(openai.rules(config, text), weights(config))
    return {name: torch.from_numpy(np.array(value, order="C")) for name, value in made.items()}


def open_clip_cfg(config: ModelConfig, **changes) -> dict:
    """The `model_cfg` of a CLIP, as open_clip has it."""
    vision, text = config.vision, config.text
    if isinstance(vision, ViTConfig):
        image = {"patch_size": vision.patch_size, "layers": vision.layers, "width": vision.width}
        image |= {"head_width": vision.width // vision.heads, "mlp_ratio": vision.mlp_ratio}
    else:
        image = {"layers": list(vision.stage_depths), "width": vision.width}
    return {
        "embed_dim": config.embedding_dim,
        "vision_cfg": {"image_size": vision.image_size, **image},
        "text_cfg": {
            "context_length": text.context_length,
            "vocab_size": text.vocab_size,
            "width": text.width,
            "heads": text.heads,
            "layers": text.layers,
        },
        **changes,
    }


def openai_archive(path: Path, tensors: dict[str, torch.Tensor], quick: bool = True) -> None:
    """A TorchScript archive of modules that hold these tensors, and whose code computes one of the activations."""

    class Quick(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * torch.sigmoid(1.702 * x)

    class Exact(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.gelu(x)

    made: torch.nn.Module = Quick() if quick else Exact()
    for name, tensor in tensors.items():
        *modules, leaf = name.split(".")
        place = made
        for module in modules:
            if not hasattr(place, module):
                place.add_module(module, torch.nn.Identity())
            place = getattr(place, module)
        if tensor.is_floating_point():
            place.register_parameter(leaf, torch.nn.Parameter(tensor))
        else:
            place.register_buffer(leaf, tensor)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, and what OpenAI published
        torch.jit.script(made).save(path)
