"""Writing the files that the fast runtime loads: each tower as an ONNX graph, in the precision that it bears.

The precisions are tried from the fastest on, each on the runtime itself and with the same pictures and texts; the first
whose vectors agree well enough with those of torch in float32 is taken. The graphs carry the fingerprint of the weights
they were made from, so that a stale export is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from model.durable import write_atomic
from model.exporting.graph import image_graph, text_graph
from model.exporting.samples import samples_for
from model.exporting.storage import file_of
from model.folder import ONNX_IMAGE, ONNX_PRECISION, ONNX_TEXT, ModelFolder
from model.openvino_runtime import Tower, computes_in_bfloat16
from model.precision import FLOAT32, PRECISIONS, Agreement, ChosenPrecisions, Precision, TowerPrecision
from model.torch_runtime import TorchRuntime

Vectors = NDArray[np.float32]
_BATCH = 16
_NEAREST = 10
_UNTESTED = (
    "this processor does not compute in bfloat16: float32 stood in for it, so the precision was measured too well; to"
    " know how far bfloat16 agrees, export on a processor that has it"
)


def export_onnx(
    folder: ModelFolder, calibration: Path | None = None, precisions: Sequence[Precision] = PRECISIONS
) -> tuple[list[Path], list[str]]:
    """Write `onnx/` into a model folder; returns the files, and what a person should know of what was chosen.

    `calibration` is a folder of pictures to measure with, instead of those that are always there. The last of the
    `precisions` is taken whatever it measures.
    """
    reference = TorchRuntime(folder, threads=0)
    samples = samples_for(folder, calibration)
    batches = [samples.pixels[start : start + _BATCH] for start in range(0, len(samples.pixels), _BATCH)]
    ids, mask = folder.tokenizer.encode(samples.texts)
    pictures = np.concatenate([reference.image_vectors(batch) for batch in batches])
    texts = reference.text_vectors(ids, mask)

    def image_agreement(tower: Tower) -> Agreement:
        found = np.concatenate([tower.run({"pixels": batch}) for batch in batches])
        return agreement(found, pictures, found, pictures)

    def text_agreement(tower: Tower) -> Agreement:
        return agreement(tower.run({"ids": ids, "mask": mask}), texts, pictures, pictures)

    stated = {
        "fingerprint": folder.fingerprint,
        "logit_scale": repr(reference.logit_scale),
        "logit_bias": repr(reference.logit_bias),
    }
    image, image_file = _choose(
        ONNX_IMAGE, image_graph(reference.model, folder.config), stated, image_agreement, precisions
    )
    text, text_file = _choose(ONNX_TEXT, text_graph(reference.model, folder.config), stated, text_agreement, precisions)

    chosen = ChosenPrecisions(
        fingerprint=folder.fingerprint,
        pictures=len(pictures),
        texts=len(texts),
        source=samples.source,
        image=image,
        text=text,
    )
    (folder.path / "onnx").mkdir(exist_ok=True)
    (folder.path / ONNX_PRECISION).unlink(missing_ok=True)
    for name, content in ((ONNX_IMAGE, image_file), (ONNX_TEXT, text_file)):
        write_atomic(folder.path / name, content)
    written = [folder.path / ONNX_IMAGE, folder.path / ONNX_TEXT, chosen.write(folder.path)]
    untested = {image.precision, text.precision} != {FLOAT32.name} and not computes_in_bfloat16()
    return written, [*_notes("image", image), *_notes("text", text), *([_UNTESTED] if untested else [])]


def agreement(found: Vectors, reference: Vectors, gallery: Vectors, reference_gallery: Vectors) -> Agreement:
    """Of vectors (n, dim) with the reference's, as themselves and as queries (m, dim) of a gallery.

    Where the queries are the gallery, none finds itself.
    """
    cosine = float((found * reference).sum(axis=1).min())
    ours, theirs = _nearest(found, gallery), _nearest(reference, reference_gallery)
    shared = [len(np.intersect1d(mine, other)) / mine.size for mine, other in zip(ours, theirs, strict=True)]
    return Agreement(cosine=cosine, overlap=float(np.mean(shared)))


def _nearest(queries: Vectors, gallery: Vectors) -> NDArray[np.intp]:
    cosines = queries @ gallery.T  # (n, m)
    if queries is gallery:
        np.fill_diagonal(cosines, -np.inf)
    return np.argsort(-cosines, axis=1)[:, :_NEAREST]


def _choose(
    name: str,
    graph: ModelProto,
    stated: dict[str, str],
    measure: Callable[[Tower], Agreement],
    precisions: Sequence[Precision],
) -> tuple[TowerPrecision, bytes]:
    """The first precision that agrees with the reference, or the last, and the file in it."""
    measured: dict[str, Agreement] = {}
    for precision in precisions:
        content = file_of(name, graph, precision, stated)
        measured[precision.name] = found = measure(Tower(content))
        if found.suffices or precision is precisions[-1]:
            break
    return TowerPrecision(precision=precision.name, measured=measured), content


def _notes(tower: str, chosen: TowerPrecision) -> list[str]:
    """What was not taken, and why."""
    return [
        f"the {tower} tower does not bear {name} ({found}), and will run in {chosen.precision}"
        for name, found in chosen.measured.items()
        if name != chosen.precision
    ]
