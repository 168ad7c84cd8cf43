"""Evaluation of a model folder on captioned shards: retrieval both ways, and zero-shot classification."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from model import Encoder
from training.data import Example, read_examples
from training.metrics import first_ranks, summary

_BATCH = 64


@dataclass(frozen=True, slots=True)
class Pictures:
    """Encoded pictures: unit vectors (n, dim) and the examples they come from."""

    vectors: NDArray[np.float32]
    examples: Sequence[Example]

    @property
    def concepts(self) -> list[str]:
        """The concept of each picture."""
        return [example.concept for example in self.examples]


def evaluate(encoder: Encoder, folder: Path, gallery: Path | None = None) -> dict[str, Any]:
    """Every split found in `folder`: itself if it holds shards, else each folder in it that does.

    With `gallery`, a folder of shards too, each split's pictures are also searched for in that gallery.
    """
    splits = [folder] if list(folder.glob("*.tar")) else sorted({shard.parent for shard in folder.glob("*/*.tar")})
    found = encode(encoder, gallery) if gallery else None
    return {split.name: evaluate_split(encoder, encode(encoder, split), found) for split in splits or [folder]}


def evaluate_split(encoder: Encoder, pictures: Pictures, gallery: Pictures | None = None) -> dict[str, Any]:
    """Text → picture, one query a concept (its label); picture → text among all labels; by style if there are several.

    `zero_shot_accuracy` is the share of pictures whose nearest label is their own: classification into all concepts.
    """
    labels = {example.concept: example.label for example in pictures.examples}
    texts = encoder.encode_texts([query(label) for label in labels.values()])
    to_text = first_ranks(pictures.vectors, texts, pictures.concepts, list(labels))
    result: dict[str, Any] = {
        "pictures": len(pictures.examples),
        "concepts": len(labels),
        "text_to_picture": summary(first_ranks(texts, pictures.vectors, list(labels), pictures.concepts)),
        "picture_to_text": summary(to_text),
        "zero_shot_accuracy": float((to_text == 1).mean()),
    }
    if gallery is not None:
        known = set(gallery.concepts)
        rows = [row for row, concept in enumerate(pictures.concepts) if concept in known]
        ranks = first_ranks(
            pictures.vectors[rows], gallery.vectors, [pictures.concepts[r] for r in rows], gallery.concepts
        )
        result["picture_to_gallery"] = summary(ranks)
    styles = sorted({example.style for example in pictures.examples})
    if len(styles) > 1:
        result["styles"] = {style: evaluate_split(encoder, _of_style(pictures, style)) for style in styles}
    return result


def query(label: str) -> str:
    """A label as a person types it: `flag: Japan` without its colon."""
    return label.replace(": ", " ")


def encode(encoder: Encoder, folder: Path) -> Pictures:
    """Encode every picture of a folder's shards through the model's own preprocessing."""
    examples = read_examples(folder)
    vectors = []
    for start in tqdm(range(0, len(examples), _BATCH), desc=f"encoding {folder.name}", unit="batch"):
        images = [Image.open(io.BytesIO(example.picture)) for example in examples[start : start + _BATCH]]
        vectors.append(encoder.encode_images(images))
    return Pictures(np.concatenate(vectors), examples)


def _of_style(pictures: Pictures, style: str) -> Pictures:
    rows = [row for row, example in enumerate(pictures.examples) if example.style == style]
    return Pictures(pictures.vectors[rows], [pictures.examples[row] for row in rows])
