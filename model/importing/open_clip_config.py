"""The architecture that open_clip's `model_cfg` describes.

A part of it that changes what the model computes and is not known here is an error, not a guess.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from model.config import Activation, ModelConfig, TokenizationConfig
from model.errors import ForeignCheckpointError
from model.importing.settings import Settings, refused
from model.importing.tokenization import Read, clip_tokenizer, siglip_tokenizer

_INERT = {
    "model_cfg": {"custom_text", "init_logit_scale", "nonscalar_logit_scale", "output_dict", "cast_dtype"},
    "vision_cfg": {
        "patch_dropout", "output_tokens", "pos_embed_type", "attn_pooler_queries", "attn_pooler_heads",
        "timm_model_pretrained", "timm_drop", "timm_drop_path",
    },
    "text_cfg": {"output_tokens", "pad_id", "hf_model_pretrained", "hf_proj_type", "hf_pooler_type"},
}  # fmt: skip
"""What has no say in what a trained model computes."""

_BLOCKS = {
    "ls_init_value": None, "block_type": "default", "qk_norm": False, "scaled_cosine_attn": False,
    "scale_heads": False, "scale_attn_inner": False, "scale_attn": False, "scale_fc": False,
    "final_ln_after_pool": False,
}  # fmt: skip
_ABSENT: Mapping[str, Mapping[str, object]] = {
    "model_cfg": {"multimodal_cfg": None},
    "vision_cfg": {**_BLOCKS, "attentional_pool": False, "timm_proj_bias": False},
    "text_cfg": {**_BLOCKS, "embed_cls": False, "hf_model_name": None, "tokenizer_mode": None, "use_pad_mask": False},
}
"""Parts that no model has here: these are the values that leave them out."""

_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "model_cfg": {"quick_gelu": False},
    "vision_cfg": {
        "image_size": 224, "layers": 12, "width": 768, "head_width": 64, "mlp_ratio": 4.0, "patch_size": 16,
        "no_ln_pre": False, "pool_type": "tok", "timm_pool": "avg", "timm_proj": "linear",
    },
    "text_cfg": {
        "context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 12, "mlp_ratio": 4.0,
        "eos_id": 2, "no_causal_mask": False, "pool_type": "argmax", "proj_bias": False, "proj_type": "linear",
    },
}  # fmt: skip
_UNDEFAULTED = {
    "model_cfg": {"embed_dim", "init_logit_bias", "vision_cfg", "text_cfg"},
    "vision_cfg": {"act_kwargs", "norm_kwargs", "timm_model_name"},
    "text_cfg": {"act_kwargs", "norm_kwargs", "hf_tokenizer_name", "tokenizer_kwargs"},
}

TIMM_SIZES: Mapping[str, Mapping[str, Any]] = {
    "base": {"width": 768, "layers": 12, "heads": 12},
    "large": {"width": 1024, "layers": 24, "heads": 16},
    "so400m": {"width": 1152, "layers": 27, "heads": 16, "mlp_ratio": 4304 / 1152},
    "giantopt": {"width": 1536, "layers": 40, "heads": 16},
}
_TIMM_NAME = re.compile(r"vit_([a-z0-9]+)_patch(\d+)_siglip_(\d+)(?:\..+)?")
_TIMM_TANH = re.compile(r"vit_(base_patch32|large_patch16_siglip_512|so400m_patch16|giantopt)")
"""timm computes the GELU of these by its tanh approximation, of the others exactly, whatever they were trained with."""

OPEN_CLIP_EPS, TIMM_EPS = 1e-5, 1e-6


class OpenClipConfig:
    """A `model_cfg`, checked for parts that are not known here; `place` is its name in errors."""

    def __init__(self, model_cfg: Mapping[str, Any], place: str) -> None:
        self.place = place
        self._top = Settings(model_cfg, place, _DEFAULTS["model_cfg"])
        self._vision = self._top.inner("vision_cfg", _DEFAULTS["vision_cfg"])
        self._text = self._top.inner("text_cfg", _DEFAULTS["text_cfg"])
        sections = {"model_cfg": self._top, "vision_cfg": self._vision, "text_cfg": self._text}
        faults = [fault for name, section in sections.items() for fault in _unknown_parts(name, section)]
        if faults:
            raise ForeignCheckpointError(f"{place} describes parts that no model has here: {'; '.join(faults)}.")

    @property
    def siglip(self) -> bool:
        """Whether it is a SigLIP, whose image tower comes from timm."""
        return "timm_model_name" in self._vision

    @property
    def image_size(self) -> int:
        """Side of a picture, in pixels."""
        return self._vision.side("image_size")

    @property
    def vocab_size(self) -> int:
        """Number of tokens."""
        return self._text.integer("vocab_size")

    def read_tokenizer(self, source: Path | None) -> Read:
        """The tokenizer that the config asks for, from a folder or file if it is not CLIP's."""
        context_length = self._text.integer("context_length")
        hugging_face = "hf_tokenizer_name" in self._text
        arguments = self._text.inner("tokenizer_kwargs", {"clean": "whitespace" if hugging_face else "lower"})
        clean, others = arguments.text("clean"), arguments.keys() - {"clean"}
        if others and any(arguments.get(other) for other in others):
            raise ForeignCheckpointError(
                f"{self.place}: tokenizer_kwargs has {', '.join(sorted(others))}; not known here."
            )
        if hugging_face and clean == "canonicalize":
            return siglip_tokenizer(source, context_length, "clip_canonical")
        if hugging_face and self._reads_padding:
            read = siglip_tokenizer(source, context_length, "none")
        else:
            read = clip_tokenizer(source, context_length)
        known = {"clip": {"lower", "whitespace"} if hugging_face else {"lower"}, "none": {"whitespace"}}
        if clean not in known.get(read[1].cleaning, ()):
            raise ForeignCheckpointError(
                f"{self.place}: texts are cleaned by {clean!r}, which nothing here does to them."
            )
        return read

    def build(
        self, name: str, quick_gelu: bool, tokenization: TokenizationConfig, end: int, has_bias: bool
    ) -> ModelConfig:
        """The architecture, with the activation that was settled and the tokenizer's end token.

        Raises ForeignCheckpointError if there can be no such model.
        """
        embedding_dim = self._top.integer("embed_dim")
        proj = self._text.text("proj_type"), self._text.flag("proj_bias")
        if proj[0] not in {"linear", "none"}:
            raise ForeignCheckpointError(f"{self.place}: proj_type is {proj[0]!r}, neither linear nor none.")
        projection = {("linear", False): "linear", ("linear", True): "affine"}.get(proj, "none")
        try:
            vision = self._image_tower(embedding_dim, quick_gelu)
            return ModelConfig.model_validate(
                {
                    "name": name,
                    "embedding_dim": embedding_dim,
                    "vision": vision,
                    "text": self._text_tower(quick_gelu, end),
                    "tokenization": tokenization,
                    "image_projection": "linear" if vision["kind"] == "vit" and not self.siglip else "none",
                    "text_projection": projection,
                    "logit_bias": has_bias or "init_logit_bias" in self._top,
                }
            )
        except ValidationError as error:
            raise refused(error, self.place) from error

    def _image_tower(self, embedding_dim: int, quick_gelu: bool) -> dict[str, Any]:
        if self.siglip:
            return self._timm_tower()
        width, layers = self._vision.integer("width"), self._vision.get("layers")
        if isinstance(layers, list):
            return {
                "kind": "modified_resnet",
                "image_size": self.image_size,
                "width": width,
                "stage_depths": layers,
                "heads": width * 32 // self._vision.integer("head_width"),
                "output_width": embedding_dim,
            }
        pool = self._vision.text("pool_type")
        if pool not in {"tok", "avg"}:
            raise ForeignCheckpointError(f"{self.place}: pool_type of the image tower is {pool!r}.")
        return {
            "kind": "vit",
            "image_size": self.image_size,
            "patch_size": self._vision.side("patch_size"),
            "patch_bias": False,
            "input_norm": not self._vision.flag("no_ln_pre"),
            "pooling": "class" if pool == "tok" else "mean",
            "heads": width // self._vision.integer("head_width"),
            **self._transformer(self._vision, quick_gelu),
        }

    def _timm_tower(self) -> dict[str, Any]:
        timm = self._vision.text("timm_model_name")
        found = _TIMM_NAME.fullmatch(timm)
        pooling = self._vision.text("timm_pool"), self._vision.text("timm_proj")
        if found is None or found[1] not in TIMM_SIZES or pooling != ("map", "none"):
            raise ForeignCheckpointError(
                f"{self.place}: of timm's towers only those of SigLIP are known, not {timm!r}."
            )
        return {
            "kind": "vit",
            "image_size": self.image_size,
            "patch_size": int(found[2]),
            "class_token": False,
            "pooling": "map",
            "activation": timm_activation(timm),
            "norm_eps": TIMM_EPS,
            **TIMM_SIZES[found[1]],
        }

    def _text_tower(self, quick_gelu: bool, end: int) -> dict[str, Any]:
        pool = self._text.text("pool_type")
        # "argmax" finds the end token as the highest id of a text.
        sought = {"argmax": self.vocab_size - 1, "eos": self._text.integer("eos_id")}.get(pool)
        if pool not in {"argmax", "eos", "last"}:
            raise ForeignCheckpointError(f"{self.place}: pool_type of the text tower is {pool!r}.")
        if sought is not None and sought != end:
            raise ForeignCheckpointError(
                f"{self.place}: the text tower looks for token {sought} at the end of a text, "
                f"the tokenizer puts {end} there."
            )
        return {
            "vocab_size": self.vocab_size,
            "context_length": self._text.integer("context_length"),
            "heads": self._text.integer("heads"),
            "attention": "bidirectional" if self._text.flag("no_causal_mask") else "causal",
            "attends_padding": self._reads_padding,
            "pooling": "last" if pool == "last" else "first_eot",
            "eot_id": sought,
            "kind": "transformer",
            **self._transformer(self._text, quick_gelu),
        }

    @property
    def _reads_padding(self) -> bool:
        return self._text.flag("no_causal_mask") or self._text.get("pool_type") == "last"

    def _transformer(self, section: Settings, quick_gelu: bool) -> dict[str, Any]:
        width = section.integer("width")
        activation, norm = section.inner("act_kwargs", {}), section.inner("norm_kwargs", {"eps": OPEN_CLIP_EPS})
        approximate = activation.text("approximate") if "approximate" in activation else "none"
        names: dict[tuple[bool, str], Activation] = {
            (True, "none"): "quick_gelu", (False, "none"): "gelu", (False, "tanh"): "gelu_tanh",
        }  # fmt: skip
        if (quick_gelu, approximate) not in names or activation.keys() - {"approximate"} or norm.keys() - {"eps"}:
            raise ForeignCheckpointError(f"{self.place}: act_kwargs or norm_kwargs ask for what is not known here.")
        return {
            "width": width,
            "layers": section.integer("layers"),
            "mlp_ratio": int(width * section.number("mlp_ratio")) / width,
            "activation": names[quick_gelu, approximate],
            "norm_eps": norm.number("eps"),
        }


def timm_activation(name: str) -> Activation:
    """Which GELU timm computes in one of its SigLIP towers."""
    return "gelu_tanh" if _TIMM_TANH.match(name) else "gelu"


def _unknown_parts(name: str, section: Settings) -> list[str]:
    absent = _ABSENT[name]
    read = _DEFAULTS[name].keys() | _UNDEFAULTED[name] | _INERT[name]
    return [
        f"{name}.{key} {json.dumps(section.get(key))}"
        for key in sorted(section.keys() - read)
        if key not in absent or section.get(key) != absent[key]
    ]
