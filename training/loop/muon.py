"""Muon: momentum whose matrices are made orthogonal (Jordan et al. 2024)."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from training.loop.sharding import part_of, whole


def orthogonalised(matrix: Tensor) -> Tensor:
    """(R, C) → the same row and column space with singular values between 0.7 and 1.2, whatever they were before.

    Five Newton–Schulz steps of the fifth order in bfloat16, with the coefficients of Jordan et al. 2024: they bring
    small singular values up as fast as they can, and stop short of exactly one, which the update does not need.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.mT if tall else matrix).bfloat16()
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=-4.7750, alpha=2.0315), x, beta=3.4445)
    return (x.mT if tall else x).to(matrix.dtype)


class Muon(torch.optim.Optimizer):
    """Nesterov momentum whose matrices are made orthogonal before they are applied (Jordan et al. 2024, "Muon").

    Directions that rarely appear in the gradient are thus learned as fast as common ones. Kernels (out, in, Y, X) are
    taken as matrices (out, in · Y · X). An update is scaled to the size that AdamW's would have, so that one learning
    rate and one weight decay serve both (Liu et al. 2025, "Muon is scalable for LLM training"). Of a parameter that is
    shared out, every process makes the whole update and applies its part.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take one step along the gradients that are there, which `closure`, as everywhere in torch, may first make."""
        if closure is not None:
            with torch.enable_grad():
                closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                mean = self.state[parameter].setdefault("momentum", torch.zeros_like(parameter))
                mean.lerp_(parameter.grad, 1 - group["momentum"])
                update = whole(parameter.grad.lerp(mean, group["momentum"])).flatten(1)
                size = 0.2 * max(update.shape) ** 0.5
                update = part_of(orthogonalised(update).view(parameter.shape), like=parameter)
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(update, alpha=-group["lr"] * size)
