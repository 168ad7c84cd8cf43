"""The configuration of a training run, one TOML file; every key is declared here once and checked."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from model.config import PreprocessConfig, RecurrentTextConfig, Section, TextTransformerConfig, VisionConfig
from model.errors import ParallaxError


class ConfigError(ParallaxError):
    """A training configuration that cannot be used; names every offending key."""


class SourceSection(Section):
    """One source of training pictures."""

    path: Path = Field(description="folder of shards")
    per_batch: PositiveInt = Field(description="pictures of each batch that come from it")


class DataSection(Section):
    """What is trained on."""

    train: tuple[SourceSection, ...] = Field(min_length=1, description="the sources that make up each batch")
    validation: Path = Field(description="folder of shards to validate on")
    cache_size: PositiveInt = Field(64, description="side in pixels at which drawings are held in memory")
    per_concept: PositiveInt = Field(2, description="pictures of each concept in a batch; it divides per_batch")
    early_size: PositiveInt | None = Field(None, description="smaller side of the pictures in the first steps")
    early_steps: NonNegativeInt = Field(0, description="steps at early_size, which cost a fraction of the later ones")

    @property
    def batch_size(self) -> int:
        """Pictures of one step; every pair of them is compared."""
        return sum(source.per_batch for source in self.train)


TextSection = Annotated[TextTransformerConfig | RecurrentTextConfig, Field(discriminator="kind")]
"""The text tower. Its tokenizer is trained first, on the training captions, to `vocab_size` tokens at most."""


class ModelSection(Section):
    """What is trained."""

    name: str = Field(min_length=1, description="the name people see")
    card: str = Field("", description="Markdown for the model card: command, data, licences, limits")
    embedding_dim: PositiveInt = Field(description="size of the shared embedding")
    vision: VisionConfig
    text: TextSection
    preprocess: PreprocessConfig

    @field_validator("text", mode="before")
    @classmethod
    def _a_transformer_unless_it_says_otherwise(cls, text: Any) -> Any:
        return {"kind": "transformer"} | text if isinstance(text, dict) else text

    @model_validator(mode="after")
    def _no_padding_is_read(self) -> "ModelSection":
        if isinstance(self.text, TextTransformerConfig) and self.text.reads_padding:
            raise ValueError("text reads its padding, but training pads no further than the longest text of a batch")
        return self


class OptimizerSection(Section):
    """Muon (Jordan et al. 2024) or AdamW (Loshchilov and Hutter 2019), linear warm-up, then a cosine to zero."""

    kind: Literal["muon", "adamw"] = Field(
        "adamw", description="of matrices and kernels; gains, biases and embeddings always take AdamW"
    )
    learning_rate: PositiveFloat = Field(1.5e-3, description="at the end of the warm-up")
    weight_decay: NonNegativeFloat = Field(0.1, description="on matrices and kernels, not on gains, biases, embeddings")
    betas: tuple[float, float] = Field((0.9, 0.98), description="decay of the two moments")
    warmup_steps: NonNegativeInt = Field(100, description="steps of linear warm-up")
    gradient_norm: PositiveFloat = Field(1.0, description="gradients are scaled down to this norm")


class TrainingConfig(Section):
    """A training run."""

    seed: NonNegativeInt = Field(0, description="of the weights, the data order, the captions and the augmentation")
    steps: PositiveInt = Field(description="optimiser steps of the whole run")
    threads: NonNegativeInt = Field(0, description="CPU threads; 0 is one a core")
    style_weight: NonNegativeFloat = Field(0.0, description="weight of the picture-to-picture loss between styles")
    ema_decay: float = Field(0.999, ge=0, lt=1, description="decay of the averaged weights, the ones that are exported")
    checkpoint_every: PositiveInt = Field(200, description="steps between checkpoints")
    validate_every: PositiveInt = Field(400, description="steps between validations")
    data: DataSection
    model: ModelSection
    optimizer: OptimizerSection

    @model_validator(mode="after")
    def _only_a_resnet_takes_any_size(self) -> "TrainingConfig":
        if self.data.early_size and self.model.vision.kind != "resnet":
            raise ValueError("data.early_size needs a resnet: the other towers have one position embedding a patch")
        if self.model.preprocess.size != self.model.vision.image_size:
            raise ValueError("model.preprocess.size and model.vision.image_size differ")
        return self


def read_config(path: Path, overrides: Sequence[str] = ()) -> TrainingConfig:
    """The configuration in a TOML file, with `dotted.key=value` overrides, values in TOML's syntax or bare strings."""
    try:
        tree = tomllib.loads(path.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} is not a readable TOML file: {error}") from error
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise ConfigError(f"--set {override}: expected key=value")
        _assign(tree, key.strip(), _value(value.strip()))
    try:
        return TrainingConfig.model_validate(tree)
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        raise ConfigError("\n".join([f"{path} cannot be used:", *lines])) from error


def _assign(tree: dict[str, Any], key: str, value: Any) -> None:
    *sections, last = key.split(".")
    for section in sections:
        tree = tree.setdefault(section, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"--set {key}: {section!r} is a value, not a section")
    tree[last] = value


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
