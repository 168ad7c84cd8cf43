"""The recipe of `open_clip_pictures.npz`: what open_clip's transform makes of the pictures of `pictures.py`.

In an environment with `torch`, `open_clip_torch` and `torchvision`, which need not fit torch, and with the Pillow that
requirements.lock names, as its filters changed from version to version:

    python tests/model/golden/make_pictures.py

One array of uint8 (n, 17, 17, 3) for each mode and filter, in the order of `SHAPES`; a mode that open_clip cannot apply
to a shape gives zeros.
"""

import sys
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent.parent))
from tests.model.pictures import SHAPES, blocks  # noqa: E402

SIZE = 17


def main() -> None:
    declared = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):  # torchvision describes these on import, and a build for another torch lacks them
        if not hasattr(torch.ops.torchvision, operator):
            declared.define(f"{operator}(Tensor boxes, Tensor scores, float threshold) -> Tensor")
    from open_clip.transform import image_transform

    made = {}
    for mode in ("shortest", "squash", "longest"):
        for interpolation in ("bicubic", "bilinear"):
            transform = image_transform(
                SIZE,
                is_train=False,
                mean=(0, 0, 0),
                std=(1, 1, 1),
                resize_mode=mode,
                interpolation=interpolation,
                fill_color=255,
            )
            squares = np.zeros((len(SHAPES), SIZE, SIZE, 3), dtype=np.uint8)
            for square, shape in zip(squares, SHAPES, strict=True):
                try:
                    square[:] = (transform(blocks(*shape)) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
                except ValueError as error:  # a side of less than half a pixel
                    print(mode, shape, error)
            made[f"{mode}_{interpolation}"] = squares
    np.savez_compressed(HERE / "open_clip_pictures.npz", **made)


if __name__ == "__main__":
    main()
