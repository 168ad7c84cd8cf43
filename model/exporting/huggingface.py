"""A folder that transformers opens: CLIPModel or SiglipModel, its image processor and its tokenizer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from model.config import Activation, ModelConfig, PreprocessConfig, TextConfig, TransformerConfig, ViTConfig
from model.errors import ExportError
from model.exporting.target import prepare, write_json
from model.exporting.tokenization import write_tokenizer
from model.folder import CONFIG, PREPROCESS, WEIGHTS, ModelFolder
from model.layouts import huggingface
from model.layouts.rule import revert
from model.weights import Array, read_tensors, write_tensors

_ACTIVATIONS: Mapping[Activation, str] = {
    "quick_gelu": "quick_gelu",
    "gelu": "gelu",
    "gelu_tanh": "gelu_pytorch_tanh",
    "relu": "relu",
}
_RESAMPLE = {"bilinear": 2, "bicubic": 3}
_LEGACY_EOS = 2
"""An end token of this id makes transformers pool at the highest id of a text instead."""

_EMBEDDING = "text_tower.token_embedding.weight"


def export_huggingface(folder: ModelFolder, out: Path) -> tuple[list[Path], list[str]]:
    """Write the folder; returns its files, and what differs there, in sentences. Raises ExportError."""
    config = folder.config
    siglip = config.logit_bias
    vision, text = _expressible(config, siglip)
    processor = _processor(folder.preprocess, siglip)
    prepare(out, (CONFIG, PREPROCESS))
    weights: dict[str, Array] = dict(read_tensors(folder.weights))
    end, last, notes = text.eot_id, text.vocab_size - 1, []
    swapped = (_LEGACY_EOS, last) if end == _LEGACY_EOS and last != _LEGACY_EOS else None
    if swapped:
        end = last
        weights[_EMBEDDING] = _swap_rows(weights[_EMBEDDING], *swapped)
        notes.append(
            f"tokens {_LEGACY_EOS} and {last} changed places: transformers reads an end token 2 as another rule"
        )
    notes += write_tokenizer(folder, out, swapped)
    if folder.preprocess.resize_mode == "crop" and folder.preprocess.crop_rounding == "even":
        notes.append(
            "where the centre of a picture lies between two pixels, transformers cuts at the first, not the even"
        )
    if siglip:
        notes.append("texts are to be padded to the full length: tokenizer(…, padding='max_length', truncation=True)")
    write_json(out / PREPROCESS, processor)
    write_tensors(out / WEIGHTS, revert(huggingface.rules(config), weights), {"format": "pt"})
    write_json(out / CONFIG, _config(config, vision, text, siglip, end))
    return [out / name for name in (CONFIG, WEIGHTS, PREPROCESS, "tokenizer.json", "tokenizer_config.json")], notes


def _expressible(config: ModelConfig, siglip: bool) -> tuple[ViTConfig, TextConfig]:
    """The towers, if transformers' CLIPModel or SiglipModel can be these."""
    kind = "SiglipModel" if siglip else "CLIPModel"
    vision, text = config.vision, config.text
    if not isinstance(vision, ViTConfig) or not isinstance(text, TextConfig):
        towers = f"{vision.kind} and {text.kind}"
        raise ExportError(f"transformers' {kind} is made of a ViT and a text Transformer; this model of {towers}.")
    wanted: dict[str, tuple[object, object]] = {
        "vision.patch_bias": (vision.patch_bias, siglip),
        "vision.input_norm": (vision.input_norm, not siglip),
        "vision.class_token": (vision.class_token, not siglip),
        "vision.pooling": (vision.pooling, "map" if siglip else "class"),
        "text.attention": (text.attention, "bidirectional" if siglip else "causal"),
        "text.pooling": (text.pooling, "last" if siglip else "first_eot"),
        "image_projection": (config.image_projection, "none" if siglip else "linear"),
        "text_projection": (config.text_projection, "affine" if siglip else "linear"),
    }
    if siglip:
        wanted["text.attends_padding"] = (text.attends_padding, True)
    wrong = [f"{name} is {have!r}, there {want!r}" for name, (have, want) in wanted.items() if have != want]
    if wrong:
        raise ExportError(f"transformers' {kind} cannot be this model: {'; '.join(wrong)}.")
    return vision, text


def _config(config: ModelConfig, vision: ViTConfig, text: TextConfig, siglip: bool, end: int | None) -> dict[str, Any]:
    kind, model_type = ("SiglipModel", "siglip") if siglip else ("CLIPModel", "clip")
    projection = {"projection_size": config.embedding_dim} if siglip else {"projection_dim": config.embedding_dim}
    image = {"image_size": vision.image_size, "patch_size": vision.patch_size, "num_channels": 3}
    tokens = {
        "vocab_size": text.vocab_size,
        "max_position_embeddings": text.context_length,
        "pad_token_id": config.tokenization.pad_id,
        "bos_token_id": None,
        "eos_token_id": end,
    }
    return {
        "architectures": [kind],
        "model_type": model_type,
        "torch_dtype": "float32",  # what is computed in, whatever the weights are stored in
        **({} if siglip else projection),
        "vision_config": {**_transformer(vision), **image, **({} if siglip else projection)},
        "text_config": {**_transformer(text), **tokens, **projection},
    }


def _transformer(config: TransformerConfig) -> dict[str, Any]:
    return {
        "hidden_size": config.width,
        "intermediate_size": round(config.width * config.mlp_ratio),
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "hidden_act": _ACTIVATIONS[config.activation],
        "layer_norm_eps": config.norm_eps,
    }


def _processor(config: PreprocessConfig, siglip: bool) -> dict[str, Any]:
    if config.resize_mode == "pad":
        raise ExportError(
            "No image processor of transformers pads a picture to a square as this model's preprocessing."
        )
    square = {"height": config.size, "width": config.size}
    if config.resize_mode == "crop":
        steps: dict[str, Any] = {"do_center_crop": True, "crop_size": square, "size": {"shortest_edge": config.size}}
    else:
        steps = {"do_center_crop": False, "size": square}
    # SigLIP's processor has no crop, and CLIP's can stretch.
    fits_siglip = siglip and config.resize_mode == "squash"
    return {
        "image_processor_type": "SiglipImageProcessor" if fits_siglip else "CLIPImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "resample": _RESAMPLE[config.resample],
        **({"size": square} if fits_siglip else steps),
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": config.image_mean,
        "image_std": config.image_std,
    }


def _swap_rows(table: Array, one: int, other: int) -> Array:
    swapped = np.array(table)
    swapped[[one, other]] = table[[other, one]]
    return swapped
