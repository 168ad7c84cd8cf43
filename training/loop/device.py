"""What a run computes on."""

import os
from typing import Literal

import torch

from model.errors import ParallaxError


class DeviceError(ParallaxError):
    """The device that a configuration asks for is not there."""


def find_device(wanted: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """The device of this process: with several processes on a machine, each has a GPU of its own."""
    if wanted == "cpu" or (wanted == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    number, there = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if number >= there:
        raise DeviceError(
            f'This process needs GPU {number}, and this machine has {there}: start fewer, or set device = "cpu"'
        )
    return torch.device("cuda", number)


def set_threads(wanted: int) -> None:
    """CPU threads of this process; 0: the processes on this machine share its cores."""
    cores = os.cpu_count() or 1
    torch.set_num_threads(wanted or max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))
