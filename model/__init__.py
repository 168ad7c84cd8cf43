"""Models that put pictures and texts into one latent space: `load` one, then encode."""

from pathlib import Path
from typing import Literal

from model.encoder import Encoder, Runtime
from model.errors import ModelFolderError
from model.folder import ModelFolder, read_folder

__all__ = ["Encoder", "load"]


def load(model_dir: str | Path, runtime: Literal["auto", "torch", "onnx"] = "auto", threads: int = 0) -> Encoder:
    """Load a model folder.

    `runtime` "onnx" runs the exported graphs by OpenVINO and needs no torch, "torch" is the reference, "auto" takes the
    first where the folder has been exported. `threads` 0 takes one thread a core. Raises ModelFolderError, which says
    what to do.
    """
    folder = read_folder(Path(model_dir))
    if runtime == "auto":
        runtime = "onnx" if folder.exported else "torch"
    return Encoder(folder, _runtime(folder, runtime, threads), runtime)


def _runtime(folder: ModelFolder, runtime: Literal["torch", "onnx"], threads: int) -> Runtime:
    # Imported here: whoever serves an exported model has no torch, whoever trains may have no OpenVINO.
    if runtime == "onnx":
        if not folder.exported:
            raise ModelFolderError(f"{folder.path} has no onnx/; run `python -m model export {folder.path}`.")
        from model.openvino_runtime import OpenVinoRuntime

        return OpenVinoRuntime(folder, threads)
    try:
        from model.torch_runtime import TorchRuntime
    except ModuleNotFoundError as error:
        raise ModelFolderError(
            f"{folder.path} has no onnx/, and torch, which could run it without, is not installed; "
            f"export it where torch is: `python -m model export {folder.path}`."
        ) from error
    return TorchRuntime(folder, threads)
