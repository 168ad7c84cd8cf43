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
    memory, where a batch is drawn concept by concept; everything else is streamed. Raises ConfigError where the sources
    differ: one batch comes from one of the two.
    """
    asked = {source.kind for source in config.data.train if source.kind is not None}
    if len(asked) > 1:
        raise ConfigError('data.train: all sources have to be of kind "memory", or all of kind "stream"')
    if asked:
        return asked.pop()
    if config.model.preprocess.size > config.data.cache_size:
        return "stream"
    total = sum(source.size() for source in sources)
    return "memory" if total <= MOST_IN_MEMORY else "stream"
