"""The course of the learning rate."""

import math

from training.config import TrainingConfig


def learning_rate(step: int, config: TrainingConfig) -> float:
    """The rate of step number `step`, from 0: linear warm-up, then down to zero at the last step.

    By half a cosine (Loshchilov and Hutter 2017) or, with `decay_steps`, level first and then linearly (Hägele et al.
    2024), which leaves the length of the run open until the decay begins.
    """
    section = config.optimizer
    peak, warmup = section.learning_rate, section.warmup_steps
    if step < warmup:
        return peak * (step + 1) / warmup
    if section.decay_steps:
        return peak * min(1.0, (config.steps - step) / section.decay_steps)
    progress = (step - warmup) / max(1, config.steps - warmup)
    return peak * 0.5 * (1 + math.cos(math.pi * progress))
