"""A process setting that a training step on the CPU depends on."""

import ctypes
import sys

# <malloc.h>
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8


def keep_freed_memory() -> None:
    """Have glibc keep what is freed for the next step instead of giving it back to the kernel.

    A step allocates and frees the same hundreds of megabytes of activations. By default each large block is mapped
    anew, and the kernel zeroes every page of it: in a virtual machine that can cost several times the step itself
    (measured: 60 to 120 samples a second without this, 400 with it). To be called before the first thread is started.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # musl has none
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(_M_ARENA_MAX, 1)
