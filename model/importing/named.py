"""The architectures that open_clip has names for, as far as they can be built here, in the words of its configs."""

from collections.abc import Mapping
from typing import Any

from model.errors import ForeignCheckpointError

# name: image size, patch size, width, layers, width of a head, MLP over width; embedding; width and layers of the text
_VITS = {
    "ViT-S-32": (224, 32, 384, 12, 64, 4.0, 384, 384, 12),
    "ViT-S-16": (224, 16, 384, 12, 64, 4.0, 384, 384, 12),
    "ViT-M-32": (224, 32, 512, 12, 64, 4.0, 512, 512, 12),
    "ViT-M-16": (224, 16, 512, 12, 64, 4.0, 512, 512, 12),
    "ViT-B-32": (224, 32, 768, 12, 64, 4.0, 512, 512, 12),
    "ViT-B-32-256": (256, 32, 768, 12, 64, 4.0, 512, 512, 12),
    "ViT-B-32-plus-256": (256, 32, 896, 12, 64, 4.0, 640, 640, 12),
    "ViT-B-16": (224, 16, 768, 12, 64, 4.0, 512, 512, 12),
    "ViT-B-16-plus": (224, 16, 896, 12, 64, 4.0, 640, 640, 12),
    "ViT-B-16-plus-240": (240, 16, 896, 12, 64, 4.0, 640, 640, 12),
    "ViT-L-16": (224, 16, 1024, 24, 64, 4.0, 768, 768, 12),
    "ViT-L-16-320": (320, 16, 1024, 24, 64, 4.0, 768, 768, 12),
    "ViT-L-14": (224, 14, 1024, 24, 64, 4.0, 768, 768, 12),
    "ViT-L-14-280": (280, 14, 1024, 24, 64, 4.0, 768, 768, 12),
    "ViT-L-14-336": (336, 14, 1024, 24, 64, 4.0, 768, 768, 12),
    "ViT-H-16": (224, 16, 1280, 32, 80, 4.0, 1024, 1024, 24),
    "ViT-H-14": (224, 14, 1280, 32, 80, 4.0, 1024, 1024, 24),
    "ViT-H-14-378": (378, 14, 1280, 32, 80, 4.0, 1024, 1024, 24),
    "ViT-g-14": (224, 14, 1408, 40, 88, 4.3637, 1024, 1024, 24),
    "ViT-bigG-14": (224, 14, 1664, 48, 104, 4.9231, 1280, 1280, 32),
    "ViT-e-14": (224, 14, 1792, 56, 112, 8.5715, 1280, 1280, 36),
}

# name: image size, width, blocks of each stage; embedding; width of the text
_RESNETS = {
    "RN50": (224, 64, (3, 4, 6, 3), 1024, 512),
    "RN101": (224, 64, (3, 4, 23, 3), 512, 512),
    "RN50x4": (288, 80, (4, 6, 10, 6), 640, 640),
    "RN50x16": (384, 96, (6, 8, 18, 8), 768, 768),
    "RN50x64": (448, 128, (3, 15, 36, 10), 1024, 1024),
}

# name: timm's size, patch size, image size, tokens of a text, vocabulary
_SIGLIPS = {
    "ViT-B-16-SigLIP": ("base", 16, 224, 64, 32_000),
    "ViT-B-16-SigLIP-256": ("base", 16, 256, 64, 32_000),
    "ViT-B-16-SigLIP-384": ("base", 16, 384, 64, 32_000),
    "ViT-B-16-SigLIP-512": ("base", 16, 512, 64, 32_000),
    "ViT-B-16-SigLIP-i18n-256": ("base", 16, 256, 64, 250_000),
    "ViT-L-16-SigLIP-256": ("large", 16, 256, 64, 32_000),
    "ViT-L-16-SigLIP-384": ("large", 16, 384, 64, 32_000),
    "ViT-SO400M-14-SigLIP": ("so400m", 14, 224, 16, 32_000),
    "ViT-SO400M-14-SigLIP-378": ("so400m", 14, 378, 64, 32_000),
    "ViT-SO400M-14-SigLIP-384": ("so400m", 14, 384, 64, 32_000),
    "ViT-SO400M-16-SigLIP-i18n-256": ("so400m", 16, 256, 64, 250_000),
    "ViT-B-32-SigLIP2-256": ("base", 32, 256, 64, 256_000),
    "ViT-B-16-SigLIP2": ("base", 16, 224, 64, 256_000),
    "ViT-B-16-SigLIP2-256": ("base", 16, 256, 64, 256_000),
    "ViT-B-16-SigLIP2-384": ("base", 16, 384, 64, 256_000),
    "ViT-B-16-SigLIP2-512": ("base", 16, 512, 64, 256_000),
    "ViT-L-16-SigLIP2-256": ("large", 16, 256, 64, 256_000),
    "ViT-L-16-SigLIP2-384": ("large", 16, 384, 64, 256_000),
    "ViT-L-16-SigLIP2-512": ("large", 16, 512, 64, 256_000),
    "ViT-SO400M-14-SigLIP2": ("so400m", 14, 224, 64, 256_000),
    "ViT-SO400M-14-SigLIP2-378": ("so400m", 14, 378, 64, 256_000),
    "ViT-SO400M-16-SigLIP2-256": ("so400m", 16, 256, 64, 256_000),
    "ViT-SO400M-16-SigLIP2-384": ("so400m", 16, 384, 64, 256_000),
    "ViT-SO400M-16-SigLIP2-512": ("so400m", 16, 512, 64, 256_000),
    "ViT-gopt-16-SigLIP2-256": ("giantopt", 16, 256, 64, 256_000),
    "ViT-gopt-16-SigLIP2-384": ("giantopt", 16, 384, 64, 256_000),
}
# timm's size: embedding; width, heads, layers and MLP over width of the text
_SIGLIP_TEXTS = {
    "base": (768, 768, 12, 12, 4.0),
    "large": (1024, 1024, 16, 24, 4.0),
    "so400m": (1152, 1152, 16, 27, 3.7362),
    "giantopt": (1536, 1152, 16, 27, 3.7362),
}

QUICK = "-quickgelu"
"""Behind a name of a CLIP: the same architecture with QuickGELU."""

NAMES = (*_VITS, *_RESNETS, *_SIGLIPS)


def named(name: str) -> Mapping[str, Any]:
    """The `model_cfg` of a name; ForeignCheckpointError lists the names there are."""
    plain = name.replace("/", "-").removesuffix(QUICK)
    quick = {"quick_gelu": True} if name.endswith(QUICK) else {}
    if plain in _VITS:
        return _vit(*_VITS[plain]) | quick
    if plain in _RESNETS:
        return _resnet(*_RESNETS[plain]) | quick
    if plain in _SIGLIPS and not quick:
        return _siglip(*_SIGLIPS[plain], i18n_so400m="SO400M-16-SigLIP-i18n" in plain)
    raise ForeignCheckpointError(
        f"No architecture is called {name!r}. Known are {', '.join(NAMES)}; each CLIP also with {QUICK} behind it. "
        "Others can be given as a file: open_clip's JSON."
    )


def is_siglip(name: str) -> bool:
    """Whether a name is of a SigLIP, whose activation is a matter of course."""
    return name.replace("/", "-") in _SIGLIPS


def _vit(
    image: int, patch: int, width: int, layers: int, head: int, mlp: float, dim: int, text: int, text_layers: int
) -> dict[str, Any]:
    vision = {
        "image_size": image, "patch_size": patch, "width": width, "layers": layers, "head_width": head, "mlp_ratio": mlp
    }  # fmt: skip
    return {"embed_dim": dim, "vision_cfg": vision, "text_cfg": _text(text, text_layers)}


def _resnet(image: int, width: int, stages: tuple[int, ...], dim: int, text: int) -> dict[str, Any]:
    vision = {"image_size": image, "width": width, "layers": list(stages)}
    return {"embed_dim": dim, "vision_cfg": vision, "text_cfg": _text(text, 12)}


def _text(width: int, layers: int) -> dict[str, Any]:
    return {"context_length": 77, "vocab_size": 49_408, "width": width, "heads": width // 64, "layers": layers}


def _siglip(size: str, patch: int, image: int, context: int, vocabulary: int, i18n_so400m: bool) -> dict[str, Any]:
    dim, width, heads, layers, mlp = _SIGLIP_TEXTS[size]
    timm = f"vit_{size}_patch{patch}_siglip_{image}"
    text: dict[str, Any] = {
        "context_length": context, "vocab_size": vocabulary, "hf_tokenizer_name": timm,
        "tokenizer_kwargs": {"clean": "canonicalize"}, "width": width, "heads": heads, "layers": layers,
        "mlp_ratio": mlp, "no_causal_mask": True, "pool_type": "last", "norm_kwargs": {"eps": 1e-6},
    }  # fmt: skip
    # This one's texts have no projection; the second SigLIP's were trained, and are computed, with a GELU by tanh.
    text |= {"proj_type": "none"} if i18n_so400m else {"proj_bias": True}
    text |= {"act_kwargs": {"approximate": "tanh"}} if vocabulary == 256_000 else {}
    vision = {"image_size": image, "timm_model_name": timm, "timm_pool": "map", "timm_proj": "none"}
    return {"embed_dim": dim, "init_logit_bias": -10, "custom_text": True, "vision_cfg": vision, "text_cfg": text}
