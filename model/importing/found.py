"""What a checkpoint turns out to be, before anything is written."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from model.config import ModelConfig, PreprocessConfig
from model.tokenizer import Tokenizer
from model.weights import Array


@dataclass(frozen=True, kw_only=True)
class Found:
    """A whole model in the words of this house, its weights still views of the checkpoint's files."""

    kind: str
    """What it was, for people: "Hugging Face CLIPModel"."""
    config: ModelConfig
    preprocess: PreprocessConfig
    tokenizer: Tokenizer
    weights: Mapping[str, Array]
    files: tuple[Path, ...]
    """Everything that was read."""
    activation_from: str
    """How it is known which activation the model computes."""
    assumptions: tuple[str, ...]
    """What no file said, in sentences."""
