"""open_clip itself, on folders: `python reference.py FOLDER…` answers each `inputs.npz` by an `outputs.npz`.

It wants torchvision for its training and timm for its SigLIP; neither is installed. Names of the first are answered by
empty classes, since none of them is used here.
"""

import enum
import importlib.abc
import importlib.machinery
import sys
import types
from pathlib import Path

import numpy as np
import torch


class InterpolationMode(enum.Enum):
    """The names that open_clip's defaults take."""

    BICUBIC = "bicubic"
    BILINEAR = "bilinear"
    NEAREST = "nearest"


class Empty(types.ModuleType):
    """A module that has every name."""

    InterpolationMode = InterpolationMode
    __version__ = "0"

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {"__init__": lambda *_, **__: None})


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds every module of torchvision, all of them empty."""

    def find_spec(self, name, path=None, target=None):
        is_torchvision = name.partition(".")[0] == "torchvision"
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if is_torchvision else None

    def create_module(self, spec):
        return Empty(spec.name)

    def exec_module(self, module):
        pass


def main() -> None:
    sys.meta_path.insert(0, Finder())
    import open_clip

    torch.set_num_threads(1)
    for folder in map(Path, sys.argv[1:]):
        model = open_clip.create_model(f"local-dir:{folder}").eval()
        tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
        given = np.load(folder / "inputs.npz")
        ids = tokenizer([str(text) for text in given["texts"]])
        with torch.inference_mode():
            images = model.encode_image(torch.from_numpy(given["pixels"]), normalize=True)
            texts = model.encode_text(ids, normalize=True)
        np.savez(folder / "outputs.npz", images=images, texts=texts, scale=model.logit_scale.detach().exp())


main()
