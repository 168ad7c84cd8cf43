"""What a run starts from: a tokenizer and a model."""

from collections.abc import Sequence

from model.clip import CLIP
from model.config import ModelConfig
from model.tokenizer import Tokenizer
from training.config import TrainingConfig


def start_tokenizer(config: TrainingConfig, captions: Sequence[str]) -> Tokenizer:
    """A tokenizer of the captions' own vocabulary."""
    return Tokenizer.train(captions, config.model.text.vocab_size, config.model.text.context_length)


def start_model(config: TrainingConfig, tokenizer: Tokenizer) -> CLIP:
    """A model with random weights, of torch's seed."""
    return CLIP(model_config(config, tokenizer))


def model_config(config: TrainingConfig, tokenizer: Tokenizer) -> ModelConfig:
    """The architecture that a run trains; the vocabulary is as large as its captions allow."""
    text = config.model.text.model_dump() | {"vocab_size": tokenizer.vocab_size}
    if text["pooling"] == "first_eot":
        ids, mask = tokenizer.encode([""])
        text["eot_id"] = int(ids[0, mask.sum() - 1])  # the token that every text ends in
    model = config.model
    parts = {
        "name": model.name,
        "embedding_dim": model.embedding_dim,
        "vision": model.vision,
        "text": text,
        "logit_bias": config.loss == "sigmoid",
    }
    return ModelConfig.model_validate(parts)
