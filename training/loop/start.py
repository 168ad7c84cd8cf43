"""What a run starts from: a tokenizer and a model, new ones or those of a model folder."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from model.clip import CLIP
from model.config import ModelConfig
from model.errors import ParallaxError
from model.folder import read_folder
from model.tokenizer import Tokenizer
from model.torch_runtime import read_model
from training.config import StartSection, TrainingConfig


class LossError(ParallaxError):
    """A model is to go on with the loss that it was not trained with."""


def start_tokenizer(config: TrainingConfig, captions: Callable[[], Sequence[str]]) -> Tokenizer:
    """That of the model in `model.start`, else one of the captions' own vocabulary."""
    if isinstance(config.model, StartSection):
        return read_folder(config.model.start).tokenizer
    return Tokenizer.train(captions(), config.model.text.vocab_size, config.model.text.context_length)


def read_tokenizer(config: TrainingConfig, path: Path) -> Tokenizer:
    """The tokenizer that a run has written. Raises OSError, and ValueError where the file is none."""
    length = config.model.text.context_length
    if isinstance(config.model, StartSection):
        return Tokenizer.read(path, length, config.model.architecture.tokenization)
    return Tokenizer.read(path, length)


def start_model(config: TrainingConfig, tokenizer: Tokenizer) -> CLIP:
    """The model in `model.start`, in float32; else one with random weights, of torch's seed.

    Raises LossError where it was trained with the other loss, unless `guard.other_loss` allows that. It then gets the
    bias that the sigmoid loss begins with, or loses its own.
    """
    model = CLIP(model_config(config, tokenizer))
    if isinstance(config.model, StartSection):
        _check_loss(config, config.model.architecture.logit_bias, str(config.model.start))
        weights = read_model(read_folder(config.model.start)).state_dict()
        own = model.state_dict()
        model.load_state_dict(own | {name: value for name, value in weights.items() if name in own})
    return model


def resumed_model(config: TrainingConfig, tokenizer: Tokenizer, state: dict[str, Any]) -> CLIP:
    """A model that the state of a checkpoint fits. Raises LossError where it was trained with the other loss."""
    if ("logit_bias" in state["model"]) != (config.loss == "sigmoid"):
        raise LossError(_mismatch("the run's checkpoint", "logit_bias" in state["model"], config.loss))
    return CLIP(model_config(config, tokenizer))


def model_config(config: TrainingConfig, tokenizer: Tokenizer) -> ModelConfig:
    """The architecture that a run trains; a new vocabulary is as large as its captions allow."""
    model, biased = config.model, config.loss == "sigmoid"
    if isinstance(model, StartSection):
        return model.architecture.model_copy(update={"name": model.name, "logit_bias": biased})
    text = model.text.model_dump() | {"vocab_size": tokenizer.vocab_size}
    if text.get("pooling") == "first_eot":
        ids, mask = tokenizer.encode([""])
        text["eot_id"] = int(ids[0, mask.sum() - 1])  # the token that every text ends in
    parts = {
        "name": model.name,
        "embedding_dim": model.embedding_dim,
        "vision": model.vision,
        "text": text,
        "logit_bias": biased,
    }
    return ModelConfig.model_validate(parts)


def _check_loss(config: TrainingConfig, biased: bool, whose: str) -> None:
    if biased != (config.loss == "sigmoid") and not config.guard.other_loss:
        raise LossError(f"{_mismatch(whose, biased, config.loss)}, or, to try it all the same, guard.other_loss = true")


def _mismatch(whose: str, biased: bool, loss: str) -> str:
    """Why the two do not go together (open_clip #1076), and what to set."""
    trained, has = ("sigmoid", "a logit bias") if biased else ("contrastive", "no logit bias")
    return (
        f'{whose} has {has}: it was trained with the {trained} loss, and loss = "{loss}" would ruin it, as its scale '
        f'and bias mean something else there. Set loss = "{trained}"'
    )
