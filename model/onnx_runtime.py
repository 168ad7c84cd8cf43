"""The fast runtime: the exported towers under ONNX Runtime, without torch."""

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from model.errors import ModelFolderError
from model.folder import ONNX_IMAGE, ONNX_TEXT, ModelFolder


class OnnxRuntime:
    """The towers of a folder's `onnx/`; `threads` 0 takes one a core."""

    def __init__(self, folder: ModelFolder, threads: int) -> None:
        self._image = _session(folder, ONNX_IMAGE, threads)
        self._text = _session(folder, ONNX_TEXT, threads)
        stated = self._image.get_modelmeta().custom_metadata_map
        self.logit_scale = float(stated["logit_scale"])
        self.logit_bias = float(stated["logit_bias"])

    def image_vectors(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Preprocessed pictures (n, 3, S, S) → unit vectors (n, dim)."""
        return np.asarray(self._image.run(["vectors"], {"pixels": pixels})[0])

    def text_vectors(self, ids: NDArray[np.int64], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Token ids and mask (n, T) → unit vectors (n, dim)."""
        return np.asarray(self._text.run(["vectors"], {"ids": ids, "mask": mask})[0])


def _session(folder: ModelFolder, name: str, threads: int) -> onnxruntime.InferenceSession:
    path: Path = folder.path / name
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelFolderError(f"{path} cannot be loaded: {error}") from error
    stated = session.get_modelmeta().custom_metadata_map.get("fingerprint")
    if stated != folder.fingerprint:
        raise ModelFolderError(
            f"{path} was exported from other weights than those beside it; run `python -m model export {folder.path}`."
        )
    return session
