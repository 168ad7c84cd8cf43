"""The reference runtime: the model itself, in torch and float32."""

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file

from model.clip import CLIP
from model.errors import ModelFolderError
from model.folder import ModelFolder


class TorchRuntime:
    """The towers as torch modules in float32; `threads` 0 leaves torch's setting."""

    def __init__(self, folder: ModelFolder, threads: int) -> None:
        if threads:
            torch.set_num_threads(threads)
        self.model = read_model(folder)
        self.logit_scale = self.model.log_logit_scale.exp().item()
        self.logit_bias = 0.0 if self.model.logit_bias is None else self.model.logit_bias.item()

    @torch.inference_mode()
    def image_vectors(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Preprocessed pictures (n, 3, S, S) → unit vectors (n, dim)."""
        return self.model.encode_image(torch.from_numpy(pixels)).numpy()

    @torch.inference_mode()
    def text_vectors(self, ids: NDArray[np.int64], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Token ids and mask (n, T) → unit vectors (n, dim)."""
        return self.model.encode_text(torch.from_numpy(ids), torch.from_numpy(mask)).numpy()


def read_model(folder: ModelFolder) -> CLIP:
    """The model of a folder, in float32, ready for inference; ModelFolderError names every key that does not fit."""
    try:
        weights = load_file(folder.weights)
    except (SafetensorError, OSError) as error:
        raise ModelFolderError(f"{folder.weights} cannot be read: {error}") from error
    with torch.device("meta"):  # no memory and no random numbers for weights that are replaced at once
        model = CLIP(folder.config).eval()
    expected = model.state_dict()
    faults = [f"missing {key}" for key in expected.keys() - weights.keys()]
    faults += [f"unknown {key}" for key in weights.keys() - expected.keys()]
    faults += [
        f"{key} is {tuple(weights[key].shape)}, not {tuple(expected[key].shape)}"
        for key in expected.keys() & weights.keys()
        if weights[key].shape != expected[key].shape
    ]
    if faults:
        raise ModelFolderError(f"{folder.weights} does not fit its config.json: {'; '.join(sorted(faults))}.")
    model.to_empty(device="cpu").load_state_dict(weights)
    return model
