"""The model folder: Hugging Face's file names, so that people and tools recognise it.

`config.json`, `model.safetensors`, `tokenizer.json`, `preprocessor_config.json`, `README.md`; `onnx/` where exported;
`calibration.json` where fitted, which belongs to the weights but is none of what makes their vectors.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from model.config import ModelConfig, PreprocessConfig, Section
from model.durable import write_atomic
from model.errors import ModelFolderError
from model.tokenizer import Tokenizer
from model.weights import Array, write_tensors

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer.json"
PREPROCESS = "preprocessor_config.json"
ONNX_IMAGE = "onnx/image.onnx"
ONNX_TEXT = "onnx/text.onnx"
ONNX_PRECISION = "onnx/precision.json"
CALIBRATION = "calibration.json"
_UNFINISHED = ".unfinished"
"""The mark of a folder that is being written, or was when its writer was killed."""

_Config = TypeVar("_Config", bound=Section)


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model folder that was read and checked; weights are opened by the runtime that wants them."""

    path: Path
    config: ModelConfig
    preprocess: PreprocessConfig
    tokenizer: Tokenizer
    fingerprint: str
    """Hex SHA-256 of weights, architecture, tokenizer and preprocessing: vectors of two models never mix."""

    @property
    def weights(self) -> Path:
        """The file of the weights."""
        return self.path / WEIGHTS

    @property
    def exported(self) -> bool:
        """Whether the folder holds the files of the ONNX runtime."""
        return (self.path / ONNX_IMAGE).is_file() and (self.path / ONNX_TEXT).is_file()


def read_folder(path: Path) -> ModelFolder:
    """Read and check a model folder; ModelFolderError names the file and what is wrong with it."""
    missing = [name for name in (CONFIG, WEIGHTS, TOKENIZER, PREPROCESS) if not (path / name).is_file()]
    if missing:
        raise ModelFolderError(f"{path} is not a model folder: it lacks {', '.join(missing)}.")
    config = _parse(path / CONFIG, ModelConfig)
    preprocess = _parse(path / PREPROCESS, PreprocessConfig)
    if preprocess.size != config.vision.image_size:
        raise ModelFolderError(
            f"{path}: {PREPROCESS} makes pictures of side {preprocess.size}, {CONFIG} reads {config.vision.image_size}."
        )
    try:
        tokenizer = Tokenizer.read(path / TOKENIZER, config.text.context_length, config.tokenization)
    except Exception as error:
        raise ModelFolderError(f"{path / TOKENIZER} is not a tokenizer: {error}") from error
    if tokenizer.vocab_size != config.text.vocab_size:
        raise ModelFolderError(
            f"{path}: {TOKENIZER} has {tokenizer.vocab_size} tokens, {CONFIG} says {config.text.vocab_size}."
        )
    return ModelFolder(path, config, preprocess, tokenizer, _fingerprint(path, config, preprocess))


def check_target(path: Path) -> None:
    """Only another model folder, or the beginning of one, may be written over. Raises ModelFolderError where `path` is
    anything else that is there.
    """
    if not path.exists() or (path / _UNFINISHED).is_file() or (path.is_dir() and not any(path.iterdir())):
        return
    try:
        own = json.loads((path / CONFIG).read_bytes())["model_type"] == "parallax"
    except (OSError, ValueError, KeyError, TypeError):
        own = False
    if not own:
        raise ModelFolderError(
            f"{path} is there and is not a model folder of Parallax; it stays as it is. Name another folder, or remove "
            "that one."
        )


def write_folder(
    path: Path,
    config: ModelConfig,
    preprocess: PreprocessConfig,
    tokenizer: Tokenizer,
    weights: Mapping[str, Array],
    card: str,
) -> ModelFolder:
    """Write a model folder, each file whole or not at all, and read it back. ModelFolderError as of `check_target`.

    Of `weights` that are views of a file one tensor at a time is in memory. The config comes last: without it a folder
    is none.
    """
    check_target(path)
    path.mkdir(parents=True, exist_ok=True)
    write_atomic(path / _UNFINISHED, b"")
    for stale in (CONFIG, ONNX_IMAGE, ONNX_TEXT, ONNX_PRECISION, CALIBRATION):
        (path / stale).unlink(missing_ok=True)
    write_tensors(path / WEIGHTS, weights)
    write_atomic(path / TOKENIZER, tokenizer.to_bytes())
    write_atomic(path / PREPROCESS, f"{preprocess.model_dump_json(indent=2)}\n".encode())
    write_atomic(path / "README.md", card.encode())
    write_atomic(path / CONFIG, f"{config.model_dump_json(indent=2)}\n".encode())
    (path / _UNFINISHED).unlink()
    return read_folder(path)


def _parse(path: Path, kind: type[_Config]) -> _Config:
    try:
        return kind.model_validate_json(path.read_bytes(), strict=True)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise ModelFolderError(f"{path} cannot be used: {faults}.") from error


def _fingerprint(path: Path, config: ModelConfig, preprocess: PreprocessConfig) -> str:
    digest = hashlib.sha256()
    # The architecture as it is understood, not as it is spelled: white space and a model's name make no other vectors.
    for part in (config.model_dump_json(exclude={"name"}), preprocess.model_dump_json()):
        digest.update(hashlib.sha256(part.encode()).digest())
    for name in (WEIGHTS, TOKENIZER):
        with (path / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
