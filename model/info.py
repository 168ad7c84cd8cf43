"""What a person needs to know of a model to trust it."""

import math
from pathlib import Path

from model.errors import ModelFolderError
from model.folder import ModelFolder
from model.precision import TowerPrecision, read_precisions
from model.weights import read_tensors, to_float32


def describe(folder: ModelFolder) -> dict[str, object]:
    """Architecture, parameters, preparation of pictures and texts, scale of the logits, precision, source, fingerprint.

    Everything is read from the files: the weights' header, the configs, the card.
    """
    tensors = read_tensors(folder.weights)
    if "log_logit_scale" not in tensors:
        raise ModelFolderError(f"{folder.weights} has no log_logit_scale; it is not of a CLIP.")
    parameters = {"image": 0, "text": 0, "other": 0}
    precisions: dict[str, int] = {}
    for name, array in tensors.items():
        part = name.partition("_")[0]
        parameters[part if part in parameters else "other"] += array.size
        precision = array.dtype.names[0] if array.dtype.names else array.dtype.name
        precisions[precision] = precisions.get(precision, 0) + array.nbytes
    bias = tensors.get("logit_bias")
    return {
        "name": folder.config.name,
        "source": source_of(folder.path),
        "embedding_dim": folder.config.embedding_dim,
        "activation": {
            tower: getattr(config, "activation", "relu" if tower == "image" else "sigmoid and tanh")
            for tower, config in (("image", folder.config.vision), ("text", folder.config.text))
        },
        "parameters": {**parameters, "total": sum(parameters.values())},
        "precision": max(precisions, key=lambda name: precisions[name]),
        "weights": f"{', '.join(sorted(precisions))}, {folder.weights.stat().st_size:,} bytes",
        "vision": folder.config.vision.model_dump(),
        "text": folder.config.text.model_dump(),
        "projection": {"image": folder.config.image_projection, "text": folder.config.text_projection},
        "preprocessing": folder.preprocess.model_dump(),
        "tokenization": folder.config.tokenization.model_dump(),
        "logit_scale": math.exp(to_float32(tensors["log_logit_scale"]).item()),
        "logit_bias": 0.0 if bias is None else to_float32(bias).item(),
        "exported": folder.exported,
        "runtime_precision": {
            tower: f"{told.precision} ({told.measured[told.precision]})" for tower, told in _chosen(folder).items()
        },
        "fingerprint": folder.fingerprint,
    }


def _chosen(folder: ModelFolder) -> dict[str, TowerPrecision]:
    chosen = read_precisions(folder.path, folder.fingerprint)
    return {"image": chosen.image, "text": chosen.text} if chosen and folder.exported else {}


def source_of(path: Path) -> str:
    """Where a model came from, as its card says at its head, or where to read it."""
    card = path / "README.md"
    if not card.is_file():
        return "nothing says it"
    text = card.read_text(encoding="utf-8", errors="replace")
    before, _, behind = text.partition("---\n")
    head = dict(line.split(": ", 1) for line in behind.partition("---\n")[0].splitlines() if ": " in line)
    if before or not head.keys() >= {"source", "source_kind"}:
        return "see README.md"
    return f"{head['source']} ({head['source_kind']})"
