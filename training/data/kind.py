"""Whether the training pictures are held in memory or streamed from disk."""

from collections.abc import Sequence
from typing import Any

from training.config import ConfigError, TrainingConfig
from training.data.data_set import DataSet
from training.data.section import Kind

MOST_IN_MEMORY = 1 << 30
"""Bytes of pictures, as they are on disk, beyond which they are streamed unless the configuration says otherwise."""


def kind(config: TrainingConfig, sources: Sequence[DataSet[Any]]) -> Kind:
    """What the sources say in `kind`, or where they do not, the rule.

    Drawings that are no larger than `data.cache_size` for the model, and a gigabyte of files at most, are held in
    memory, where a batch is drawn concept by concept; everything else is streamed. In memory pictures are whole, with
    a margin: a model that sees them cut or squashed gets them from a stream. Raises ConfigError where the sources
    differ, for one batch comes from one of the two, and where such a model is to have them from memory.
    """
    asked = {source.kind for source in config.data.train if source.kind is not None}
    if len(asked) > 1:
        raise ConfigError('data.train: all sources have to be of kind "memory", or all of kind "stream"')
    whole = config.model.preprocess.resize_mode == "pad"
    if "memory" in asked and not whole:
        raise ConfigError(
            'data.train: kind = "memory" holds whole pictures with a margin, and model.preprocess.resize_mode is '
            f'"{config.model.preprocess.resize_mode}": the model would be served with others than it learned from. '
            'Take kind = "stream", or resize_mode = "pad"'
        )
    if asked:
        return asked.pop()
    if not whole or config.model.preprocess.size > config.data.cache_size:
        return "stream"
    total = sum(source.size() for source in sources)
    return "memory" if total <= MOST_IN_MEMORY else "stream"
