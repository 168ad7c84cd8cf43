"""OpenAI's architectures, from the shapes of their tensors.

What shapes do not show is the same in all that OpenAI published: heads of 64, a causal text tower, QuickGELU.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from model.errors import ForeignCheckpointError
from model.weights import Array

HEAD_WIDTH = 64


def model_cfg_of(tensors: Mapping[str, Array], subject: str) -> dict[str, Any]:
    """The `model_cfg` that open_clip would have for these tensors; ForeignCheckpointError if they are of no CLIP."""
    try:
        return {
            "embed_dim": tensors["text_projection"].shape[1],
            "quick_gelu": True,
            "vision_cfg": _vision(tensors),
            "text_cfg": _text(tensors),
        }
    except (KeyError, IndexError, ValueError) as error:
        raise ForeignCheckpointError(f"{subject} does not hold a CLIP in OpenAI's names: {error!r}.") from error


def _vision(tensors: Mapping[str, Array]) -> dict[str, Any]:
    if "visual.proj" in tensors:
        kernel, places = tensors["visual.conv1.weight"].shape, tensors["visual.positional_embedding"].shape[0]
        width, patch = kernel[0], kernel[-1]
        layers = _count(tensors, r"visual\.transformer\.resblocks\.(\d+)\.")
        return {"image_size": patch * math.isqrt(places - 1), "patch_size": patch, "width": width, "layers": layers}
    places = tensors["visual.attnpool.positional_embedding"].shape[0]
    return {
        "image_size": 32 * math.isqrt(places - 1),
        "width": tensors["visual.layer1.0.conv1.weight"].shape[0],
        "layers": [_count(tensors, rf"visual\.layer{stage}\.(\d+)\.") for stage in range(1, 5)],
    }


def _text(tensors: Mapping[str, Array]) -> dict[str, Any]:
    vocab_size, width = tensors["token_embedding.weight"].shape
    return {
        "context_length": tensors["positional_embedding"].shape[0],
        "vocab_size": vocab_size,
        "width": width,
        "heads": width // HEAD_WIDTH,
        "layers": _count(tensors, r"transformer\.resblocks\.(\d+)\."),
    }


def _count(tensors: Mapping[str, Array], pattern: str) -> int:
    return len({found[1] for found in (re.match(pattern, name) for name in tensors) if found})
