"""The tensors of a checkpoint by their names, from whichever file or files hold them."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from model.errors import ForeignCheckpointError
from model.importing.pickles import read_pickled
from model.weights import Array, read_tensors

WRAPPERS = ("state_dict", "model", "module")
"""Keys under which training programs put the weights, beside their optimizer's state."""

PREFIXES = ("module.", "_orig_mod.")
"""What `DataParallel` and `torch.compile` put before every name."""


@dataclass(frozen=True)
class StateDict:
    """The tensors of a checkpoint, views of its files as far as the format allows."""

    tensors: Mapping[str, Array]
    files: tuple[Path, ...]
    code: str | None = None
    """What the model computes, where the file says so: the Python of a TorchScript archive."""
    remarks: tuple[str, ...] = field(default=())
    """What was done to find the tensors, in sentences."""


def read_state_dict(path: Path) -> StateDict:
    """Read a `.safetensors` file, a pickled one (told by its content, not by its name), or an index of either's parts.

    Raises ForeignCheckpointError, which says what is wrong with which file.
    """
    if not path.is_file():
        raise ForeignCheckpointError(f"{path} is not a file.")
    if path.name.endswith(".index.json"):
        return _read_parts(path)
    if _is_safetensors(path):
        return _unwrapped(read_tensors(path), path, None)
    loaded, code = read_pickled(path)
    return _unwrapped(loaded, path, code)


def _is_safetensors(path: Path) -> bool:
    """By its name, or by the brace that its header begins with, behind eight bytes of its length."""
    with path.open("rb") as file:
        head = file.read(9)
    return path.suffix == ".safetensors" or (head[8:] == b"{" and head[5:8] == bytes(3))


def _read_parts(index: Path) -> StateDict:
    try:
        places: dict[str, str] = json.loads(index.read_bytes())["weight_map"]
        names = sorted(set(places.values()))
        strange = [name for name in names if PurePath(name).name != name or name in {"", ".."}]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ForeignCheckpointError(f"{index} is not an index of a checkpoint's parts: {error!r}.") from error
    if strange:
        raise ForeignCheckpointError(f"{index} names files outside of its folder: {', '.join(strange)}.")
    absent = [name for name in names if not (index.parent / name).is_file()]
    if absent:
        raise ForeignCheckpointError(f"{index} names files that are not there: {', '.join(absent)}.")
    parts = {name: read_state_dict(index.parent / name) for name in names}
    lost = sorted(f"{name} in {place}" for name, place in places.items() if name not in parts[place].tensors)
    if lost:
        raise ForeignCheckpointError(f"{index} names tensors that are not there: {', '.join(lost)}.")
    tensors = {name: array for part in parts.values() for name, array in part.tensors.items()}
    files = (index, *(index.parent / name for name in names))
    return StateDict(tensors, files, None, tuple(remark for part in parts.values() for remark in part.remarks))


def _unwrapped(loaded: object, path: Path, code: str | None) -> StateDict:
    """Without what training programs put around the tensors and before their names."""
    remarks = []
    for wrapper in WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(wrapper), Mapping):
            inner = loaded[wrapper]
            if code is None and any(isinstance(value, np.ndarray) for _, value in _leaves(inner)):
                beside = sorted(str(name) for name in loaded if name != wrapper)
                remarks.append(f"took the weights from {wrapper!r}; beside them stood {', '.join(beside) or 'nothing'}")
                loaded = inner
                break
    if not isinstance(loaded, Mapping):
        raise ForeignCheckpointError(f"{path} holds a {type(loaded).__name__}, not tensors with names.")
    found = {name: value for name, value in _leaves(loaded) if isinstance(value, np.ndarray)}
    if not found:
        raise ForeignCheckpointError(f"{path} holds no tensors with names.")
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in found):
            remarks.append(f"dropped {prefix!r} before every name")
            found = {name.removeprefix(prefix): value for name, value in found.items()}
    return StateDict(found, (path,), code, tuple(remarks))


def _leaves(nested: Mapping[Any, Any], before: str = "") -> Iterator[tuple[str, object]]:
    """Every value under its dotted name: modules of a TorchScript archive stand in each other."""
    for name, value in nested.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value
