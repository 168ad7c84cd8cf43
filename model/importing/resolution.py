"""A model for pictures of another size than it was trained on (Dosovitskiy et al. 2021, section 3.2)."""

from dataclasses import replace

from model.config import ViTConfig
from model.errors import ForeignCheckpointError
from model.importing.found import Found
from model.weights import to_float32

_POSITIONS = "image_tower.position_embedding"


def at_size(found: Found, image_size: int) -> Found:
    """The same model with its position embeddings interpolated; ForeignCheckpointError if it has none in a grid."""
    vision = found.config.vision
    if not isinstance(vision, ViTConfig):
        raise ForeignCheckpointError(f"--image-size needs a Vision Transformer; this image tower is a {vision.kind}.")
    if image_size < vision.patch_size:
        raise ForeignCheckpointError(
            f"--image-size {image_size} is smaller than a patch, of {vision.patch_size} pixels."
        )
    import torch

    from model.embedding import interpolate_positions

    resized = vision.model_copy(update={"image_size": image_size})
    positions = torch.from_numpy(to_float32(found.weights[_POSITIONS]))
    grids = (vision.grid, vision.grid), (resized.grid, resized.grid)
    made = interpolate_positions(positions, *grids, prefix=int(vision.class_token)).numpy()
    remark = f"position embeddings were interpolated from {vision.image_size} to {image_size} pixels"
    return replace(
        found,
        config=found.config.model_copy(update={"vision": resized}),
        preprocess=found.preprocess.model_copy(update={"size": image_size}),
        weights={**found.weights, _POSITIONS: made},
        assumptions=(*found.assumptions, remark),
    )
