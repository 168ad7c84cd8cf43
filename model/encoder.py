"""A loaded model: pictures and texts in, unit vectors out, by whichever runtime computes them."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.calibration import Judge, Uncalibrated, read_calibration
from model.config import TextConfig
from model.folder import ModelFolder
from model.lengths import batches_by_length, padded
from model.picture import Picture
from model.preprocess import preprocess, side_needed

_BATCH = 64
_WINDOW = 1024
"""Texts that are sorted by length at a time."""


class Runtime(Protocol):
    """Computes the two towers; an implementation may be called from several threads."""

    logit_scale: float
    logit_bias: float

    def image_vectors(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Preprocessed pictures (n, 3, S, S) → unit vectors (n, dim)."""

    def text_vectors(self, ids: NDArray[np.int64], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Token ids and mask (n, T) → unit vectors (n, dim)."""


class Encoder:
    """A model folder on a runtime.

    `dim` is the embedding's size, `logit_scale` and `logit_bias` turn a cosine into the model's logit, `fingerprint`
    says which vectors may be compared with each other, `name` is for people, `runtime` is the name of the runtime.
    `calibration` turns the cosines of a search into probabilities; where the folder has none it is a cautious guess.
    """

    def __init__(self, folder: ModelFolder, runtime: Runtime, name: str) -> None:
        self._folder, self._runtime = folder, runtime
        self.runtime = name
        self.name = folder.config.name
        self.dim = folder.config.embedding_dim
        self.fingerprint = folder.fingerprint
        self.logit_scale = runtime.logit_scale
        self.logit_bias = runtime.logit_bias
        fitted = read_calibration(folder.path, folder.fingerprint)
        self.calibration: Judge = fitted or Uncalibrated(runtime.logit_scale, runtime.logit_bias)

    @property
    def side_needed(self) -> int:
        """Pixels of either side that a picture is to be decoded to (`model.picture.decode`), at the least."""
        return side_needed(self._folder.preprocess)

    def preprocess(self, picture: Image.Image | Picture) -> NDArray[np.float32]:
        """One picture of any mode and size → one row (3, S, S) of a batch; pure, so threads may share it."""
        return preprocess(picture, self._folder.preprocess)

    def encode_pixels(self, rows: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Rows from `preprocess` → float32 (n, dim), unit length."""
        chunks = [np.stack(rows[start : start + _BATCH]) for start in range(0, len(rows), _BATCH)]
        return self._join([self._runtime.image_vectors(chunk) for chunk in chunks])

    def encode_images(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Pictures of any mode and size → float32 (n, dim), unit length."""
        return self.encode_pixels([self.preprocess(image) for image in images])

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Texts → float32 (n, dim), unit length; what is longer than the model reads is cut off."""
        windows = [texts[start : start + _WINDOW] for start in range(0, len(texts), _WINDOW)]
        return self._join([self._encode_window(window) for window in windows])

    def _encode_window(self, texts: Sequence[str]) -> NDArray[np.float32]:
        ids, mask = self._folder.tokenizer.encode(texts)
        config = self._folder.config
        vectors = np.empty((len(texts), self.dim), dtype=np.float32)
        if isinstance(config.text, TextConfig) and config.text.reads_padding:
            for start in range(0, len(texts), _BATCH):
                end = start + _BATCH
                vectors[start:end] = self._runtime.text_vectors(ids[start:end], mask[start:end])
            return vectors
        ids, mask = padded(ids, mask, config.tokenization.pad_id, config.text.context_length)
        for rows, length in batches_by_length(mask, _BATCH):
            vectors[rows] = self._runtime.text_vectors(ids[rows, :length], mask[rows, :length])
        return vectors

    def _join(self, chunks: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        return np.concatenate(chunks) if chunks else np.empty((0, self.dim), dtype=np.float32)
