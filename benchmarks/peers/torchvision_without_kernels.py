"""Imported before torchvision, lets its wheel be imported beside a torch that it was not compiled for.

Its kernels (suppression of boxes and the like) then do not load, and torchvision stumbles over two that it describes.
Transforms and models need none of them.
"""

import torch

_library = torch.library.Library("torchvision", "DEF")
for _name in ("nms", "qnms"):
    _library.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
