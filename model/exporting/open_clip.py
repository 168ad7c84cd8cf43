"""A folder that open_clip opens (`local-dir:`): `open_clip_config.json`, its weights, and a tokenizer if not CLIP's."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.config import (
    Cleaning,
    ModelConfig,
    ModifiedResNetConfig,
    PreprocessConfig,
    TextConfig,
    TransformerConfig,
    ViTConfig,
)
from model.errors import ExportError
from model.exporting.target import prepare, write_json
from model.exporting.tokenization import write_tokenizer
from model.folder import ModelFolder
from model.importing.open_clip_config import OPEN_CLIP_EPS, TIMM_EPS, TIMM_SIZES, timm_activation
from model.layouts import openai
from model.layouts.rule import revert
from model.weights import read_tensors, write_tensors

CONFIG, WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"
_CLEANINGS: Mapping[Cleaning, str] = {"clip": "lower", "clip_canonical": "canonicalize", "none": "whitespace"}
_CLIP_VOCABULARY = 49_408


def export_open_clip(folder: ModelFolder, out: Path) -> tuple[list[Path], list[str]]:
    """Write the folder; returns its files, and what differs there, in sentences. Raises ExportError."""
    config = folder.config
    model_cfg = _model_cfg(config)
    preprocess_cfg = _preprocess_cfg(folder.preprocess)
    prepare(out, (CONFIG,))
    written, notes = [out / CONFIG, out / WEIGHTS], []
    if "hf_tokenizer_name" in model_cfg["text_cfg"]:
        write_tokenizer(folder, out, cleaned=True)
        written += [out / "tokenizer.json", out / "tokenizer_config.json"]
    if config.tokenization.cleaning == "none":
        notes.append(
            "open_clip repairs wrong decodings and HTML escapes in texts, which this model's tokenizer does not"
        )
    if folder.preprocess.resize_mode == "crop" and folder.preprocess.crop_rounding == "down":
        notes.append("where the centre of a picture lies between two pixels, open_clip cuts at the even, not the first")
    text = "text." if model_cfg.get("custom_text") else ""
    write_tensors(out / WEIGHTS, revert(openai.rules(config, text), read_tensors(folder.weights)), {"format": "pt"})
    write_json(out / CONFIG, {"model_cfg": model_cfg, "preprocess_cfg": preprocess_cfg})
    return written, notes


def _model_cfg(config: ModelConfig) -> dict[str, Any]:
    text = config.text
    if not isinstance(text, TextConfig):
        raise ExportError(f"open_clip has no text tower of the kind {text.kind}.")
    quick = _quick_gelu(config, text)
    vision = _vision_cfg(config)
    return {
        "embed_dim": config.embedding_dim,
        **({"quick_gelu": True} if quick else {}),
        **({"init_logit_bias": -10} if config.logit_bias else {}),
        **({"custom_text": True} if "timm_model_name" in vision else {}),
        "vision_cfg": vision,
        "text_cfg": _text_cfg(config, text),
    }


def _quick_gelu(config: ModelConfig, text: TextConfig) -> bool:
    """One switch for both towers, of which timm's does not hear it."""
    own = isinstance(config.vision, ViTConfig) and config.vision.pooling != "map"
    heard = {text.activation} | ({config.vision.activation} if own and isinstance(config.vision, ViTConfig) else set())
    if "relu" in heard or ("quick_gelu" in heard and len(heard) > 1):
        raise ExportError(f"open_clip has no model of the activations {' and '.join(sorted(heard))}.")
    return heard == {"quick_gelu"}


def _vision_cfg(config: ModelConfig) -> dict[str, Any]:
    match config.vision:
        case ModifiedResNetConfig(width=width, heads=heads) as tower:
            if width * 32 % heads or config.image_projection != "none":
                raise ExportError("open_clip's ResNet ends in its attention pooling, with heads that divide its width.")
            head_width = width * 32 // heads
            return {
                "image_size": tower.image_size,
                "layers": list(tower.stage_depths),
                "width": width,
                **({} if head_width == 64 else {"head_width": head_width}),
            }
        case ViTConfig(pooling="map") as tower:
            return _timm_cfg(tower, config)
        case ViTConfig() as tower:
            wanted = {
                "patch_bias": (tower.patch_bias, False),
                "class_token": (tower.class_token, True),
                "image_projection": (config.image_projection, "linear"),
            }
            wrong = [f"{name} is {have!r}, there {want!r}" for name, (have, want) in wanted.items() if have != want]
            if wrong:
                raise ExportError(f"open_clip's Vision Transformer cannot be this one: {'; '.join(wrong)}.")
            return {
                "image_size": tower.image_size,
                "patch_size": tower.patch_size,
                "head_width": tower.width // tower.heads,
                **({} if tower.input_norm else {"no_ln_pre": True}),
                **({} if tower.pooling == "class" else {"pool_type": "avg"}),
                **_transformer(tower),
            }
        case tower:
            raise ExportError(f"open_clip has no image tower of the kind {tower.kind}.")


def _timm_cfg(tower: ViTConfig, config: ModelConfig) -> dict[str, Any]:
    """timm's towers have fixed sizes and go by names."""
    for size, dimensions in TIMM_SIZES.items():
        name = f"vit_{size}_patch{tower.patch_size}_siglip_{tower.image_size}"
        like = ViTConfig.model_validate(
            {
                "image_size": tower.image_size,
                "patch_size": tower.patch_size,
                "class_token": False,
                "pooling": "map",
                "activation": timm_activation(name),
                "norm_eps": TIMM_EPS,
                **dimensions,
            }
        )
        if like == tower and config.image_projection == "none":
            return {"image_size": tower.image_size, "timm_model_name": name, "timm_pool": "map", "timm_proj": "none"}
    raise ExportError(
        "open_clip takes image towers with attention pooling from timm, which has none of this size and activation; "
        "--format huggingface can say it."
    )


def _text_cfg(config: ModelConfig, text: TextConfig) -> dict[str, Any]:
    if text.pooling == "mean" or (text.attention == "bidirectional" and not text.attends_padding):
        raise ExportError(
            "open_clip's text tower pools one token and, if it looks both ways, sees the padding; "
            f"this one's pooling is {text.pooling!r}, its attention {text.attention!r}, "
            f"attends_padding {text.attends_padding}."
        )
    cleaning = _CLEANINGS.get(config.tokenization.cleaning)
    if cleaning is None:
        raise ExportError(f"open_clip cannot clean texts as {config.tokenization.cleaning!r} does.")
    own = config.tokenization.cleaning != "clip" or text.vocab_size != _CLIP_VOCABULARY
    pooling: dict[str, Any] = {"pool_type": "last"}
    if text.pooling == "first_eot":
        pooling = {} if text.eot_id == text.vocab_size - 1 else {"pool_type": "eos", "eos_id": text.eot_id}
    projection: dict[str, dict[str, Any]] = {"linear": {}, "affine": {"proj_bias": True}, "none": {"proj_type": "none"}}
    return {
        "context_length": text.context_length,
        "vocab_size": text.vocab_size,
        **({"hf_tokenizer_name": ".", "tokenizer_kwargs": {"clean": cleaning}} if own else {}),
        "heads": text.heads,
        **({"no_causal_mask": True} if text.attention == "bidirectional" else {}),
        **pooling,
        **projection[config.text_projection],
        **_transformer(text),
    }


def _transformer(config: TransformerConfig) -> dict[str, Any]:
    hidden = round(config.width * config.mlp_ratio)
    return {
        "width": config.width,
        "layers": config.layers,
        **({} if hidden == 4 * config.width else {"mlp_ratio": (hidden + 0.5) / config.width}),  # rounded down there
        **({"act_kwargs": {"approximate": "tanh"}} if config.activation == "gelu_tanh" else {}),
        **({} if config.norm_eps == OPEN_CLIP_EPS else {"norm_kwargs": {"eps": config.norm_eps}}),
    }


def _preprocess_cfg(config: PreprocessConfig) -> dict[str, Any]:
    modes = {"crop": "shortest", "squash": "squash", "pad": "longest"}
    red, green, blue = config.pad_color
    if config.resize_mode == "pad" and not red == green == blue:
        raise ExportError(f"open_clip pads pictures with a grey; this model's colour is {config.pad_color}.")
    return {
        "size": config.size,
        "mode": "RGB",
        "mean": config.image_mean,
        "std": config.image_std,
        "interpolation": config.resample,
        "resize_mode": modes[config.resize_mode],
        "fill_color": red if config.resize_mode == "pad" else 0,
    }
