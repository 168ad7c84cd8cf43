"""A sum over all pairs of rows and columns, in the memory of a few rows.

Each block of rows has its gradient taken as soon as its value is there, so that nothing of it is held or computed again
for the backward pass, which only scales. (torch's checkpointing, the other way, leaves something small of each block in
the hole that its scores leave behind, and memory grows with the number of blocks after all.)
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_BLOCK = 2**20  # scores held at once: 4 MB in float32


def blockwise(
    of_rows: Callable[..., Tensor],
    rows: Tensor,
    row_marks: Tensor,
    columns: Tensor,
    column_marks: Tensor,
    *parameters: Tensor,
) -> Tensor:
    """The sum of `of_rows`, a scalar, over blocks of rows (n, D) with their marks (n,), each with all columns (m, D).

    `of_rows(rows, row_marks, columns, column_marks, *parameters)` has to be a sum over its rows. Gradients are those of
    rows, columns and parameters.
    """
    total: Tensor = _Blockwise.apply(of_rows, row_marks, column_marks, rows, columns, *parameters)  # type: ignore[no-untyped-call]
    return total


class _Blockwise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, of_rows: Callable[..., Tensor], row_marks: Tensor, column_marks: Tensor, *inputs: Tensor
    ) -> Tensor:
        rows, *others = inputs
        size = max(1, _BLOCK // len(others[0]))
        of_each_row = torch.empty_like(rows)
        of_others = [torch.zeros_like(other) for other in others]
        total = rows.new_zeros(())
        for start in range(0, len(rows), size):
            block = slice(start, start + size)
            leaves = [tensor.detach().requires_grad_() for tensor in (rows[block], *others)]
            with torch.enable_grad():
                columns, *parameters = leaves[1:]
                value = of_rows(leaves[0], row_marks[block], columns, column_marks, *parameters)
            of_each_row[block], *gradients = torch.autograd.grad(value, leaves)
            for gradient, more in zip(of_others, gradients, strict=True):
                gradient.add_(more)
            total += value.detach()
        ctx.save_for_backward(of_each_row, *of_others)
        return total

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> tuple[Tensor | None, ...]:
        return None, None, None, *(gradient * upstream[0] for gradient in ctx.saved_tensors)
