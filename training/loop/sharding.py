"""Weights, gradients and optimiser states shared out among the processes (FSDP2, torch's `fully_shard`; ZeRO 3).

Each process holds its part of every tensor; a block's weights are brought together when it is computed and let go
after. The projections and the logit scale are small and stay whole.
"""

from typing import Any

import torch
from torch import Tensor
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from model.clip import CLIP
from training.loop.blocks import blocks


def shard(model: CLIP) -> None:
    """Share the towers out. Gradients are added up over the processes, as each has its share of the loss."""
    for tower in (model.image_tower, model.text_tower):
        # A feature is a view of all tokens. On a view, FSDP's own hooks could get lost, and it warns of that.
        tower.register_forward_hook(lambda _tower, _arguments, feature: feature.clone())
        for part in (*blocks(tower), tower):
            fully_shard(part)
            assert isinstance(part, FSDPModule)
            part.set_gradient_divide_factor(1.0)
            part.set_force_sum_reduction_for_comms(True)  # gloo knows no other


def whole(tensor: Tensor) -> Tensor:
    """The whole of a tensor that is shared out, a copy; any other tensor as it is. Every process has to ask at once."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def part_of(tensor: Tensor, like: Tensor) -> Tensor:
    """A whole tensor, shared out as `like` is: the inverse of `whole`."""
    return distribute_tensor(tensor, like.device_mesh, like.placements) if isinstance(like, DTensor) else tensor


def own_part(tensor: Tensor) -> Tensor:
    """What this process holds of a tensor; of one that is not shared out, all of it."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def is_shared(tensor: Tensor) -> bool:
    """Whether each process holds a part of this tensor."""
    return isinstance(tensor, DTensor)


def whole_state(model: torch.nn.Module) -> dict[str, Tensor]:
    """The state of a model in whole tensors."""
    return {name: whole(tensor) for name, tensor in model.state_dict().items()}


def load_whole_state(model: torch.nn.Module, state: dict[str, Any]) -> None:
    """Put a state of whole tensors into a model, shared out or not."""
    mine = model.state_dict()
    shared = {
        name: part_of(value.to(mine[name].device), mine[name]) if name in mine else value
        for name, value in state.items()
    }
    model.load_state_dict(shared)
