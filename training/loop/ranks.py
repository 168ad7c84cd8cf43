"""The processes of a run, each with its part of every batch, and what they tell each other.

`torchrun` starts them; on CUDA they talk through NCCL, one GPU each, else through gloo.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from model.errors import ParallaxError

TIMEOUT = timedelta(minutes=10)
_BUCKET = 2**24  # numbers that are sent at once: 64 MB in float32


class ProcessLostError(ParallaxError):
    """Another process of the run is gone, or has said nothing for too long."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process, number `index` of `count`."""

    index: int = 0
    count: int = 1

    def gather(self, rows: Tensor) -> Tensor:
        """Rows of this process (n, …), as many in each → rows of all processes in order (count · n, …).

        It passes gradients on: a row gets what all processes have to say about it.
        """
        if self.count == 1:
            return rows
        gathered: Tensor = _Gather.apply(rows, self)  # type: ignore[no-untyped-call]
        return gathered

    def add_up(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its sum over all processes, which all give tensors of the same shapes."""
        if self.count == 1:
            return
        bucket: list[Tensor] = []
        for tensor in tensors:
            if bucket and (tensor.dtype != bucket[0].dtype or sum(map(Tensor.numel, bucket)) > _BUCKET):
                _add_up(bucket)
                bucket = []
            bucket.append(tensor)
        if bucket:
            _add_up(bucket)

    def any(self, asked: bool) -> bool:
        """Whether any process says yes."""
        answers = torch.tensor(int(asked), device=_device())
        self.add_up([answers])
        return bool(answers.item())

    def meet(self) -> None:
        """Wait for all processes."""
        if self.count > 1:
            dist.barrier()


ALONE = Ranks()


def _device() -> torch.device:
    """Where what is sent has to lie."""
    nccl = dist.is_initialized() and dist.get_backend() == "nccl"
    return torch.device("cuda", torch.cuda.current_device()) if nccl else torch.device("cpu")


def _add_up(bucket: list[Tensor]) -> None:
    flat = torch.cat([tensor.flatten() for tensor in bucket])
    dist.all_reduce(flat)
    for tensor, total in zip(bucket, flat.split([tensor.numel() for tensor in bucket]), strict=True):
        tensor.copy_(total.view(tensor.shape))


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        gathered = rows.new_empty(ranks.count * len(rows), *rows.shape[1:])
        dist.all_gather_single(gathered, rows.contiguous())
        return gathered

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        gradient = gradients[0].contiguous().clone()  # the sum is made in place
        dist.all_reduce(gradient)
        size = len(gradient) // ctx.ranks.count
        return gradient[ctx.ranks.index * size :][:size], None


@contextmanager
def connected(cuda: bool) -> Iterator[Ranks]:
    """This process among those that torchrun started; alone without torchrun."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield ALONE
        return
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if cuda else "gloo", timeout=TIMEOUT)
    try:
        ranks = Ranks(dist.get_rank(), count)
        with lost_processes_named(ranks):
            yield ranks
    finally:
        dist.destroy_process_group()


@contextmanager
def lost_processes_named(ranks: Ranks) -> Iterator[None]:
    """Raises ProcessLostError where what processes do together fails within.

    That is at once when another one has died, and after `TIMEOUT` when one hangs.
    """
    try:
        yield
    except RuntimeError as error:
        if ranks.count > 1 and (isinstance(error, dist.DistError) or "gloo" in str(error)):
            raise ProcessLostError(
                f"Process {ranks.index} of {ranks.count} lost another one and ends. The run goes on from its newest "
                f"checkpoint with --resume, on as many processes as you like. ({error})"
            ) from error
        raise
