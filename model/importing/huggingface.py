"""Hugging Face folders: transformers' CLIPModel, SiglipModel, and Siglip2Model at one resolution.

`config.json` says the architecture and the activation. What it leaves out has the value that transformers gives it.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from model.config import Activation, ModelConfig, TextConfig, ViTConfig
from model.errors import ForeignCheckpointError
from model.importing.activation import Evidence, settle
from model.importing.found import Found
from model.importing.preprocessing import read_processor
from model.importing.settings import Settings, read_json, refused
from model.importing.state_dict import read_state_dict
from model.importing.tokenization import clip_tokenizer, end_id, siglip_tokenizer
from model.layouts import huggingface
from model.layouts.rule import convert

CONFIG = "config.json"
WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
KINDS = {"clip": "CLIPModel", "siglip": "SiglipModel", "siglip2": "Siglip2Model"}

ACTIVATIONS: Mapping[str, Activation] = {
    "quick_gelu": "quick_gelu",
    "gelu": "gelu",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_new": "gelu_tanh",
    "relu": "relu",
}

_CLIP_TOWER = {
    "num_hidden_layers": 12,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}
_SIGLIP_TOWER = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "hidden_act": "gelu_pytorch_tanh",
    "layer_norm_eps": 1e-6,
}
_IMAGE = {"num_channels": 3, "image_size": 224}
_CLIP_VISION = {
    **_CLIP_TOWER, **_IMAGE, "hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12, "patch_size": 32
}  # fmt: skip
_CLIP_TEXT = {
    **_CLIP_TOWER, "hidden_size": 512, "intermediate_size": 2048, "num_attention_heads": 8, "vocab_size": 49408,
    "max_position_embeddings": 77, "eos_token_id": 49407,
}  # fmt: skip
_SIGLIP_VISION = {**_SIGLIP_TOWER, **_IMAGE, "patch_size": 16, "num_patches": 256, "vision_use_head": True}
_SIGLIP_TEXT = {**_SIGLIP_TOWER, "vocab_size": 32000, "max_position_embeddings": 64}

LEGACY_EOS = 2
"""transformers wrote this id for CLIP's end token until 4.31, and pools at the highest id of a text where it stands."""


def find_weights(folder: Path) -> Path | None:
    """The file of the weights, or the index of its parts."""
    return next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)


def is_folder(folder: Path) -> bool:
    """Whether a folder's `config.json` is of one of these models; many are of open_clip too, and say the same twice."""
    return (folder / CONFIG).is_file() and read_json(folder / CONFIG).get("model_type") in KINDS


def read_huggingface(folder: Path, name: str, tokenizer: Path | None, said: Evidence | None) -> Found:
    """A folder of one of these models; ForeignCheckpointError says what is missing or cannot be expressed.

    `tokenizer` is where the tokenizer's files are, if not in the folder; `said`, what a person says of the activation.
    """
    values = read_json(folder / CONFIG)
    model_type = values["model_type"]
    weights = find_weights(folder)
    if weights is None:
        raise ForeignCheckpointError(f"{folder} has no weights: none of {', '.join(WEIGHTS)}.")
    top = Settings(values, str(folder / CONFIG), {"projection_dim": 512})
    clip = model_type == "clip"
    vision = _tower(top, "vision", _CLIP_VISION if clip else _SIGLIP_VISION)
    text = _tower(top, "text", _CLIP_TEXT if clip else _SIGLIP_TEXT)
    source = tokenizer or folder
    context_length = text.integer("max_position_embeddings")
    try:
        if clip:
            read = clip_tokenizer(source, context_length)
            config = _clip(name, top, vision, text, read[1].model_dump(), end_id(read[0]))
        else:
            read = siglip_tokenizer(source, context_length)
            config = _siglip(name, vision, text, read[1].model_dump(), patches=model_type == "siglip2")
    except ValidationError as error:
        raise refused(error, str(folder / CONFIG)) from error
    preprocess, assumptions, files = read_processor(folder, config.vision.image_size, siglip=not clip)
    assumptions += [
        f"{section}.{key} is {value}, transformers' default"
        for section, settings in (("config.json", top), ("vision_config", vision), ("text_config", text))
        for key, value in settings.defaulted.items()
    ]
    if model_type == "siglip2":
        side = config.vision.image_size
        assumptions.append(
            f"every picture is squashed to {side} × {side} pixels, for which its positions were learned; "
            "transformers would keep the proportions of a picture and interpolate them"
        )
    state = read_state_dict(weights)
    rules = huggingface.rules(config, patches=model_type == "siglip2")
    stated = [
        Evidence(ACTIVATIONS[tower.text("hidden_act")], f"hidden_act of {name} is {tower.text('hidden_act')}")
        for name, tower in (("vision_config", vision), ("text_config", text))
    ]
    if said is not None:
        stated = [settle([evidence, said], folder.name) for evidence in stated]
    return Found(
        kind=f"Hugging Face {KINDS[model_type]}",
        config=config,
        preprocess=preprocess,
        tokenizer=read[0],
        weights=convert(rules, state.tensors, huggingface.is_buffer),
        files=(folder / CONFIG, *files, *state.files),
        activation_from=", and ".join(evidence.because for evidence in stated),
        assumptions=(*assumptions, *state.remarks),
    )


def _tower(top: Settings, section: str, defaults: Mapping[str, Any]) -> Settings:
    """A tower's section; an older one, `…_config_dict`, counts for more where both are, and is complete."""
    older = f"{section}_config_dict"
    if older not in top:
        return top.inner(f"{section}_config", defaults)
    merged = {**(top.get(f"{section}_config") if f"{section}_config" in top else {}), **defaults, **top.get(older)}
    return Settings(merged, f"config.json, {older}")


def _clip(
    name: str, top: Settings, vision: Settings, text: Settings, tokenization: dict[str, Any], end: int
) -> ModelConfig:
    stated = text.integer("eos_token_id")
    if stated == LEGACY_EOS and end != text.integer("vocab_size") - 1:
        raise ForeignCheckpointError(
            f"The text tower's eos_token_id is {stated}, with which transformers looks for the highest token of a "
            f"text, whatever it is; the tokenizer ends texts with {end}, which is not the highest there is. Parallax "
            f"looks for the end of a text. If that is what the model was trained with, and {end} is not {LEGACY_EOS}, "
            f"write {end} into its config as eos_token_id."
        )
    if stated not in {LEGACY_EOS, end}:
        raise ForeignCheckpointError(
            f"The text tower looks for token {stated} at the end of a text, the tokenizer puts {end} there."
        )
    return ModelConfig.model_validate(
        {
            "name": name,
            "embedding_dim": top.integer("projection_dim"),
            "vision": _vit(vision, patch_bias=False, input_norm=True, class_token=True, pooling="class"),
            "text": _text(text, attention="causal", pooling="first_eot", eot_id=end),
            "tokenization": tokenization,
        }
    )


def _siglip(name: str, vision: Settings, text: Settings, tokenization: dict[str, Any], patches: bool) -> ModelConfig:
    if not vision.flag("vision_use_head"):
        raise ForeignCheckpointError(
            "vision_use_head is false: the image tower has no pooling, so it has no embedding."
        )
    image_size = math.isqrt(vision.integer("num_patches")) * vision.side("patch_size") if patches else None
    tower = _vit(vision, image_size, patch_bias=True, class_token=False, pooling="map")
    if "projection_size" in text and text.integer("projection_size") != tower.width:
        raise ForeignCheckpointError(
            f"The texts' vectors have {text.integer('projection_size')} dimensions, the pictures' {tower.width}."
        )
    return ModelConfig.model_validate(
        {
            "name": name,
            "embedding_dim": tower.width,
            "vision": tower,
            "text": _text(text, attention="bidirectional", attends_padding=True, pooling="last"),
            "tokenization": tokenization,
            "image_projection": "none",
            "text_projection": "affine",
            "logit_bias": True,
        }
    )


def _vit(settings: Settings, image_size: int | None = None, **parts: Any) -> ViTConfig:
    if settings.integer("num_channels") != 3:
        raise ForeignCheckpointError(f"num_channels is {settings.integer('num_channels')}; a picture here has 3.")
    sizes = {"image_size": image_size or settings.side("image_size"), "patch_size": settings.side("patch_size")}
    return ViTConfig.model_validate({**_transformer(settings), **sizes, **parts})


def _text(settings: Settings, **parts: Any) -> TextConfig:
    sizes = {
        "vocab_size": settings.integer("vocab_size"),
        "context_length": settings.integer("max_position_embeddings"),
    }
    return TextConfig.model_validate({**_transformer(settings), **sizes, **parts})


def _transformer(settings: Settings) -> dict[str, Any]:
    width, activation = settings.integer("hidden_size"), settings.text("hidden_act")
    if activation not in ACTIVATIONS:
        raise ForeignCheckpointError(f"hidden_act {activation!r} is none of {', '.join(ACTIVATIONS)}.")
    return {
        "width": width,
        "layers": settings.integer("num_hidden_layers"),
        "heads": settings.integer("num_attention_heads"),
        "mlp_ratio": settings.integer("intermediate_size") / width,
        "activation": ACTIVATIONS[activation],
        "norm_eps": settings.number("layer_norm_eps"),
    }
