"""Safetensors files, one tensor at a time: read as views of the file, written without a second copy in memory.

The format is a length, a JSON header and the tensors' bytes. numpy has no bfloat16; such a tensor is an array of
`BFLOAT16`, which can be cut, turned and written like any other, and is a number only to those who know.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from model.durable import open_atomic
from model.errors import WeightsError

Array = NDArray[Any]

BFLOAT16 = np.dtype([("bfloat16", "<u2")])
"""The upper half of a float32, in a field of its own so that nothing computes with it by accident."""

DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": BFLOAT16,
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}


def to_float32(array: Array) -> NDArray[np.float32]:
    """The numbers of an array of any type, bfloat16 too."""
    if array.dtype == BFLOAT16:
        return (array["bfloat16"].astype(np.uint32) << 16).view(np.float32)
    return array.astype(np.float32)


def read_tensors(path: Path) -> dict[str, Array]:
    """The tensors of a file, as read-only views of it: what is not looked at is not read. Raises WeightsError."""
    try:
        with safe_open(path, framework="numpy"):  # checks the header: offsets within the file, none twice
            pass
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is not a safetensors file: {error}") from error
    content = np.memmap(path, dtype=np.uint8, mode="r")
    start = 8 + int.from_bytes(content[:8].tobytes(), "little")
    header = json.loads(content[8:start].tobytes())
    header.pop("__metadata__", None)
    unknown = sorted({entry["dtype"] for entry in header.values()} - DTYPES.keys())
    if unknown:
        raise WeightsError(f"{path} holds tensors of types that are not read here: {', '.join(unknown)}.")
    tensors = {}
    for name, entry in header.items():
        first, last = entry["data_offsets"]
        flat = np.asarray(content[start + first : start + last]).view(DTYPES[entry["dtype"]])
        tensors[name] = flat.reshape(entry["shape"])
    return tensors


def write_tensors(path: Path, tensors: Mapping[str, Array], metadata: Mapping[str, str] | None = None) -> None:
    """Replace a file by these tensors, whole or not at all. Only one of them at a time is in memory, if they are views.

    The widest types come first, so that all are aligned, as in files that the format's own library writes.
    """
    order = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name in order:
        start, end = end, end + tensors[name].nbytes
        shape = list(tensors[name].shape)
        header[name] = {"dtype": _NAMES[tensors[name].dtype], "shape": shape, "data_offsets": [start, end]}
    head = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    head += b" " * (-len(head) % 8)
    with open_atomic(path) as file:
        file.write(len(head).to_bytes(8, "little") + head)
        for name in order:
            file.write(np.ascontiguousarray(tensors[name]).reshape(-1).view(np.uint8).data)
