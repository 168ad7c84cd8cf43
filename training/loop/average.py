"""The averaged weights of a run, which generalise better than the last ones (Polyak and Juditsky 1992)."""

import torch
from torch import nn

from training.loop.sharding import own_part


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, step: int, decay: float) -> None:
    """Move an exponential moving average of weights and running statistics after step number `step`, from 0.

    Early on it is the plain average of all steps so far: a fixed decay would remember the random start for long.
    """
    decay = min(decay, step / (step + 10))
    live = model.state_dict()
    for name, mean in average.state_dict().items():
        if mean.is_floating_point():
            own_part(mean).lerp_(own_part(live[name]), 1 - decay)
        else:
            mean.copy_(live[name])
