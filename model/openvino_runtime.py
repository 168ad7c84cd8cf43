"""The fast runtime: the exported towers under OpenVINO, without torch."""

from __future__ import annotations

import functools
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from model.errors import ModelFolderError
from model.folder import ONNX_IMAGE, ONNX_TEXT, ModelFolder
from model.precision import FLOAT32, PRECISIONS

_PRECISIONS = {precision.name: precision for precision in PRECISIONS}


class OpenVinoRuntime:
    """The towers of a folder's `onnx/`; `threads` 0 takes one a core."""

    def __init__(self, folder: ModelFolder, threads: int) -> None:
        self._image = _read(folder, ONNX_IMAGE, threads)
        self._text = _read(folder, ONNX_TEXT, threads)
        self.logit_scale = float(self._image.stated["logit_scale"])
        self.logit_bias = float(self._image.stated["logit_bias"])

    def image_vectors(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Preprocessed pictures (n, 3, S, S) → unit vectors (n, dim)."""
        return self._image.run({"pixels": pixels})

    def text_vectors(self, ids: NDArray[np.int64], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Token ids and mask (n, T) → unit vectors (n, dim)."""
        return self._text.run({"ids": ids, "mask": mask})


class Tower:
    """An exported graph, compiled in the precision that is stated in it. Threads take turns."""

    def __init__(self, source: Path | bytes, threads: int = 0) -> None:
        core = _core()
        model = core.read_model(source)
        self.stated: Mapping[str, str] = _stated(model)
        precision = _PRECISIONS[self.stated.get("precision", FLOAT32.name)]
        settings: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",  # all threads at one batch
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": threads,
            # Said here, since the compiler's own way with what a processor lacks is nowhere promised.
            "INFERENCE_PRECISION_HINT": precision.arithmetic if computes_in_bfloat16() else FLOAT32.arithmetic,
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": precision.group,
        }
        # What nothing in the graph depends on, such as the mask where a tower reads its padding, is not there.
        self._inputs = set().union(*(entry.names for entry in model.inputs))
        self._request = core.compile_model(model, "CPU", settings).create_infer_request()
        self._turn = threading.Lock()

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Rows in, rows (n, dim) out, which belong to the caller."""
        ready = {name: np.ascontiguousarray(array) for name, array in inputs.items() if name in self._inputs}
        with self._turn:
            return np.array(self._request.infer(ready, share_inputs=True, share_outputs=True)["vectors"])


def computes_in_bfloat16() -> bool:
    """Whether this processor does; where it does not, float32 stands in."""
    return "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@functools.cache
def _core() -> openvino.Core:
    """The process's only one, never freed: freed in the order they were made, two leave the thread that made them
    a signal stack that is unmapped, and its next signal kills the process."""
    return openvino.Core()


def _stated(model: openvino.Model) -> dict[str, str]:
    """The metadata of an ONNX file."""
    if not model.has_rt_info("framework"):
        return {}
    return {name: str(value.value) for name, value in model.get_rt_info("framework").astype(dict).items()}


def _read(folder: ModelFolder, name: str, threads: int) -> Tower:
    path = folder.path / name
    try:
        tower = Tower(path, threads)
    except Exception as error:
        raise ModelFolderError(f"{path} cannot be loaded: {error}") from error
    if tower.stated.get("fingerprint") != folder.fingerprint:
        raise ModelFolderError(
            f"{path} was exported from other weights than those beside it; run `python -m model export {folder.path}`."
        )
    return tower
