"""Zero-shot classification: a class is the mean of its name in several sentences (Radford et al. 2021, 3.1.4)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model import Encoder
from model.errors import ParallaxError
from training.evaluation.metrics import first_ranks

TEMPLATES = ("{}", "a {}", "a picture of {}", "a drawing of {}", "{} icon", "{} symbol")


class TemplateError(ParallaxError):
    """A file of prompt templates that cannot be used."""


def read_templates(path: Path) -> tuple[str, ...]:
    """One template a line, with `{}` where the name goes; empty lines are left out."""
    try:
        lines = tuple(line.strip() for line in path.read_text("utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise TemplateError(f"{path} is not a readable text file: {error}") from error
    wrong = [line for line in lines if line.count("{}") != 1]
    if wrong or not lines:
        raise TemplateError(f"{path} needs one template a line, each with one {{}} for the name; not {wrong or lines}")
    return lines


def class_vectors(encoder: Encoder, names: Sequence[str], templates: Sequence[str]) -> NDArray[np.float32]:
    """Unit vectors (n, dim) of n names: of each the mean of its vectors in all templates, at unit length again."""
    total = sum(encoder.encode_texts([template.replace("{}", name) for name in names]) for template in templates)
    vectors: NDArray[np.float32] = total / np.linalg.norm(total, axis=1, keepdims=True)
    return vectors


def classify(
    pictures: NDArray[np.float32], concepts: Sequence[str], classes: NDArray[np.float32], names: Sequence[str]
) -> NDArray[np.int64]:
    """Place (n,), from 1, of each picture's own class among all, nearest first; ties count against it."""
    return first_ranks(pictures, classes, concepts, names)
