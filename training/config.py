"""The configuration of a training run, one TOML file; every key is declared here once and checked."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    Discriminator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from model.config import (
    ModelConfig,
    PreprocessConfig,
    RecurrentTextConfig,
    Section,
    TextTowerConfig,
    TextTransformerConfig,
    VisionConfig,
)
from model.errors import ParallaxError
from model.folder import read_folder
from training.data.section import ColumnsSection, Kind, StreamSection

_Decay = Annotated[float, Field(ge=0, lt=1)]


class ConfigError(ParallaxError):
    """A training configuration that cannot be used; names every offending key."""


class SourceSection(Section):
    """One source of training pictures."""

    path: Path | tuple[Path, ...] = Field(
        description="folder, table, shard or shards; whatever the documentation of training lists"
    )
    per_batch: PositiveInt = Field(description="pictures of each batch that come from it")
    kind: Kind | None = Field(None, description="held in memory, or streamed from disk; by size and model unless set")
    columns: ColumnsSection = ColumnsSection()
    by_root: bool = Field(
        False,
        description="in memory: a concept of few drawings takes part in fewer epochs, by the root of their number",
    )


class DataSection(Section):
    """What is trained on."""

    train: tuple[SourceSection, ...] = Field(min_length=1, description="the sources that make up each batch")
    validation: Path = Field(description="data set to validate on")
    cache_size: PositiveInt = Field(64, description="side in pixels at which drawings are held in memory")
    per_concept: PositiveInt = Field(2, description="pictures of each concept in a batch; it divides per_batch")
    captions_per_picture: PositiveInt = Field(
        1,
        description="captions drawn for each picture, all of them positives; of a drawing in memory, each after the "
        "first is in a random one of its languages",
    )
    stream: StreamSection = StreamSection()
    bad_share: float = Field(0.05, ge=0, le=1, description="share of samples that may be bad before the run ends")
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


class StartSection(Section):
    """A model that is trained on: weights, architecture, tokenizer and preprocessing are those of its folder."""

    start: Path = Field(description="model folder, as `python -m model import` or `training export` writes it")
    name: str = Field(min_length=1, description="the name people see; that of the model in the folder, unless given")
    card: str = Field("", description="Markdown for the model card: command, data, licences, limits")
    architecture: ModelConfig = Field(description="read from the folder, and kept with the run")
    preprocess: PreprocessConfig = Field(description="read from the folder, and kept with the run")

    @model_validator(mode="before")
    @classmethod
    def _the_folder_says_the_rest(cls, tree: Any) -> Any:
        if not isinstance(tree, dict) or "architecture" in tree:  # a run's own record
            return tree
        others = sorted(tree.keys() - {"start", "name", "card"})
        if others:
            raise ValueError(f"the model is that of start = {str(tree['start'])!r}; take out {', '.join(others)}")
        if not isinstance(tree["start"], (str, Path)):
            raise ValueError(f"start is a model folder, not {tree['start']!r}")
        folder = read_folder(Path(tree["start"]))
        return {"name": folder.config.name, "architecture": folder.config, "preprocess": folder.preprocess} | tree

    @property
    def embedding_dim(self) -> int:
        """Size of the shared embedding."""
        return self.architecture.embedding_dim

    @property
    def vision(self) -> VisionConfig:
        """The image tower."""
        return self.architecture.vision

    @property
    def text(self) -> TextTowerConfig:
        """The text tower."""
        return self.architecture.text


FROM_SCRATCH, FROM_A_MODEL = "from scratch", "from a model"


def _beginning(tree: Any) -> str:
    started = "start" in tree if isinstance(tree, dict) else isinstance(tree, StartSection)
    return FROM_A_MODEL if started else FROM_SCRATCH


class GuardSection(Section):
    """What ends a run that goes wrong, before a bad state takes the place of a good one."""

    on: bool = Field(True, description="whether a run that goes wrong is ended")
    other_loss: bool = Field(False, description="whether a model may go on with the loss that it was not trained with")
    canary: Path | None = Field(
        None,
        description="data set in which forgetting shows: what the model can do already; data.validation unless set",
    )
    canary_every: PositiveInt | None = Field(
        None, description="steps between canaries; with each validation unless set"
    )
    forgotten: float = Field(
        0.3, gt=0, le=1, description="share of the canary's recall, of the start in a fine-tune, else of the best, lost"
    )
    patience: PositiveInt = Field(2, description="canaries in a row that have to show it; the run then ends")
    uniformity: float = Field(
        -0.02, lt=0, description="a batch's vectors have collapsed above it (Wang and Isola 2020); 0 is a single point"
    )
    logit_scale: tuple[PositiveFloat, PositiveFloat] = Field((1.0, 1000.0), description="between which it stays")
    collapsed_steps: PositiveInt = Field(30, description="steps in a row that have to show a collapse")


class OptimizerSection(Section):
    """Muon (Jordan et al. 2024) or AdamW (Loshchilov and Hutter 2019), and the course of the learning rate."""

    kind: Literal["muon", "adamw"] = Field(
        "adamw", description="of matrices and kernels; gains, biases and embeddings always take AdamW"
    )
    learning_rate: PositiveFloat = Field(1.5e-3, description="at the end of the warm-up")
    weight_decay: NonNegativeFloat = Field(0.1, description="on matrices and kernels, not on gains, biases, embeddings")
    betas: tuple[_Decay, _Decay] = Field((0.9, 0.98), description="decay of the two moments")
    warmup_steps: NonNegativeInt = Field(100, description="steps of linear warm-up")
    decay_steps: PositiveInt | None = Field(
        None,
        description="steps at the end in which the rate, constant until then, falls linearly to zero; without it, it "
        "follows a cosine to zero from the end of the warm-up on",
    )
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="rate of a layer over that of the one above it, in each tower, for fine-tuning"
    )
    gradient_norm: PositiveFloat = Field(1.0, description="gradients are scaled down to this norm")


class TrainingConfig(Section):
    """A training run."""

    seed: NonNegativeInt = Field(0, description="of the weights, the data order, the captions and the augmentation")
    steps: PositiveInt = Field(description="optimiser steps of the whole run")
    threads: NonNegativeInt = Field(0, description="CPU threads of a process; 0: the processes share the cores")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="what computes; auto: CUDA where there is any")
    precision: Literal["bfloat16", "float32"] = Field("bfloat16", description="of the towers; losses are in float32")
    compile: bool = Field(False, description="whether torch.compile makes kernels for the towers: minutes at the start")
    loss: Literal["contrastive", "sigmoid"] = Field(
        "contrastive", description="CLIP's, over the rows and columns of the batch, or SigLIP's, of each pair by itself"
    )
    style_weight: NonNegativeFloat = Field(0.0, description="weight of the picture-to-picture loss between styles")
    chunk_size: PositiveInt | None = Field(
        None,
        description="pictures encoded at a time, at the price of encoding twice; the gradient stays that of the whole "
        "batch and memory becomes that of a chunk (gradient caching, which is gradient accumulation for these losses)",
    )
    activation_checkpointing: bool = Field(
        False, description="whether the activations inside a block are computed again in the backward pass, not held"
    )
    shard: bool = Field(False, description="whether the processes share out weights and optimiser states (FSDP)")
    patch_dropout: float = Field(0.0, ge=0, lt=1, description="share of a picture's patches left out in training, ViT")
    locked: Literal["none", "image", "text"] = Field(
        "none", description="tower that stays as it is, with its projection and its batch statistics"
    )
    ema_decay: float = Field(0.999, ge=0, lt=1, description="decay of the averaged weights, the ones that are exported")
    checkpoint_every: PositiveInt = Field(200, description="steps between checkpoints")
    keep_checkpoints: PositiveInt = Field(2, description="the newest checkpoints, which are kept")
    validate_every: PositiveInt = Field(400, description="steps between validations")
    data: DataSection
    model: Annotated[
        Annotated[ModelSection, Tag(FROM_SCRATCH)] | Annotated[StartSection, Tag(FROM_A_MODEL)],
        Discriminator(_beginning),
    ]
    optimizer: OptimizerSection
    guard: GuardSection = GuardSection()

    @model_validator(mode="after")
    def _only_a_resnet_takes_any_size(self) -> "TrainingConfig":
        if self.data.early_size and self.model.vision.kind != "resnet":
            raise ValueError("data.early_size needs a resnet: the other towers have one position embedding a patch")
        if self.model.preprocess.size != self.model.vision.image_size:
            raise ValueError("model.preprocess.size and model.vision.image_size differ")
        return self

    @model_validator(mode="after")
    def _parts_fit(self) -> "TrainingConfig":
        decay, warmup = self.optimizer.decay_steps, self.optimizer.warmup_steps
        if decay and warmup + decay > self.steps:
            raise ValueError(
                f"optimizer.warmup_steps = {warmup} and optimizer.decay_steps = {decay} exceed steps = {self.steps}"
            )
        if self.patch_dropout and self.model.vision.kind != "vit":
            raise ValueError(f'patch_dropout needs a vit, and model.vision is a "{self.model.vision.kind}"')
        if self.locked == "image" and self.style_weight:
            raise ValueError('style_weight trains the image tower, which locked = "image" holds')
        return self


def read_config(path: Path, overrides: Sequence[str] = ()) -> TrainingConfig:
    """The configuration in a TOML file, with `dotted.key=value` overrides, values in TOML's syntax or bare strings."""
    try:
        tree = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} is not a readable TOML file: {error}") from error
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise ConfigError(f"--set {override}: expected key=value")
        _assign(tree, key.strip(), _value(value.strip()))
    try:
        return TrainingConfig.model_validate(tree)
    except ValidationError as error:
        tags = (FROM_SCRATCH, FROM_A_MODEL)
        places = [".".join(str(part) for part in fault["loc"] if part not in tags) for fault in error.errors()]
        lines = [f"  {place}: {fault['msg']}" for place, fault in zip(places, error.errors(), strict=True)]
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
