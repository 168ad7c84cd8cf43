"""The optimisers of a run: who takes which parameter, at which rate, with or without decay."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from model.clip import CLIP
from training.config import TrainingConfig
from training.loop.blocks import depths
from training.loop.muon import Muon
from training.loop.sharding import is_shared, own_part, part_of, whole

_REMEMBERED: dict[type[torch.optim.Optimizer], set[str]] = {
    Muon: {"momentum"},
    torch.optim.AdamW: {"step", "exp_avg", "exp_avg_sq"},
}
"""What each kind of optimiser keeps of a parameter."""


def optimizers(model: CLIP, config: TrainingConfig) -> Sequence[torch.optim.Optimizer]:
    """Matrices and kernels, by Muon or AdamW, decay; gains, biases, embeddings, the logit scale, by AdamW, do not.

    A group's "scale" is its learning rate over the run's: smaller the deeper a layer lies, with `layer_decay`. Locked
    parameters are left out.
    """
    section = config.optimizer
    matrices = list(_groups(model, section.layer_decay, decayed=True))
    others = list(_groups(model, section.layer_decay, decayed=False))
    rate = section.learning_rate
    if section.kind == "muon":
        muon = Muon([{**group, "weight_decay": section.weight_decay} for group in matrices], rate)
        return muon, torch.optim.AdamW(others, lr=rate, betas=section.betas)
    groups = [{**group, "weight_decay": section.weight_decay} for group in matrices] + others
    return (torch.optim.AdamW(groups, lr=rate, betas=section.betas),)


def _groups(model: CLIP, layer_decay: float, decayed: bool) -> Iterator[dict[str, Any]]:
    above = {f"image_tower.{name}": depth for name, depth in depths(model.image_tower).items()}
    above |= {f"text_tower.{name}": depth for name, depth in depths(model.text_tower).items()}
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        is_matrix = sum(side > 1 for side in parameter.shape) >= 2 and "embedding" not in name  # (1, 1, D) is a vector
        if is_matrix == decayed and parameter.requires_grad:
            # One call updates a whole group, and takes no mix of tensors that are shared out and others.
            groups.setdefault((layer_decay ** above.get(name, 0), is_shared(parameter)), []).append(parameter)
    for (scale, _), parameters in groups.items():
        yield {"params": parameters, "weight_decay": 0.0, "scale": scale}


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every group its share of the run's rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["scale"]


def clip_gradients(model: nn.Module, limit: float) -> float:
    """Scale all gradients down to this norm at most, over parameters and processes together; returns what it was."""
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    split = [[g for g in gradients if is_shared(g) == shared] for shared in (False, True)]
    norms = [whole(nn.utils.get_total_norm(part)) for part in split if part]
    norm = torch.stack(norms).norm()
    factor = (limit / (norm + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        own_part(gradient).mul_(factor)
    return float(norm)


def optimizer_state(optimizers: Sequence[torch.optim.Optimizer], model: nn.Module) -> dict[str, dict[str, Any]]:
    """What the optimisers remember of each parameter, by its name, in whole tensors: it fits any grouping of them."""
    names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    return {
        names[parameter]: {key: whole(value) if isinstance(value, Tensor) else value for key, value in state.items()}
        for optimizer in optimizers
        for parameter, state in optimizer.state.items()
    }


def load_optimizer_state(
    optimizers: Sequence[torch.optim.Optimizer], model: nn.Module, states: dict[str, dict[str, Any]]
) -> None:
    """Put back what `optimizer_state` gave; a parameter that another kind of optimiser has now begins anew."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                state = states.get(names[parameter], {})
                if state.keys() == _REMEMBERED[type(optimizer)]:
                    optimizer.state[parameter] = {
                        # Moments lie where their parameter lies, as it is shared out; the count of steps on the CPU.
                        key: value if key == "step" else part_of(value.to(parameter.device), like=parameter)
                        for key, value in state.items()
                    }
