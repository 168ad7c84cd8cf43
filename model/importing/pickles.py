"""Tensors out of PyTorch's pickled files, without torch and without running anything that stands in them.

A pickle is a program for a small machine that can call any function by its name. The one here knows the names of
tensors and of plain containers; every other name is an error before anything of it runs. Three kinds of files hold
pickles: zip archives (`torch.save` since 1.6), the format before that, and TorchScript archives, in which OpenAI
published CLIP. In the archives tensors are views of the file; nothing is read before it is used.

Nothing that serves loads this module; it belongs to `python -m model import`.
"""

import mmap
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, NoReturn

import numpy as np

from model.errors import ForeignCheckpointError
from model.weights import BFLOAT16, Array

_STORAGES: Mapping[str, np.dtype[Any]] = {
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": BFLOAT16,
    "DoubleStorage": np.dtype("<f8"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_LARGEST_PROGRAM = 2**28
"""Bytes of the pickle itself, beside the tensors; a checkpoint's is a few hundred kilobytes."""
_MOST_VALUES = 2_000_000


@dataclass(frozen=True)
class Storage:
    """Numbers in a row, of which tensors are cut-outs; a legacy file fills them in after the pickle."""

    dtype: np.dtype[Any]
    numbers: Array | None
    length: int


@dataclass(frozen=True)
class Tensor:
    """A cut-out of a storage, as the pickle describes it."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, numbers: Array) -> Array:
        """The tensor as a view; a description that leaves its storage is an error."""
        last = self.offset + sum((side - 1) * stride for side, stride in zip(self.shape, self.strides, strict=True))
        if min((self.offset, *self.shape, *self.strides)) < 0 or (0 not in self.shape and last >= len(numbers)):
            raise ForeignCheckpointError("a tensor lies outside of its storage")
        steps = tuple(stride * numbers.itemsize for stride in self.strides)
        start = numbers[self.offset :]
        return np.lib.stride_tricks.as_strided(start, self.shape, steps, subok=False, writeable=False)


class ModuleAttributes:
    """What stands for an object of a TorchScript class: its attributes, and nothing that it could do."""

    attributes: Mapping[str, Any] = MappingProxyType({})

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, dict):
            raise ForeignCheckpointError("the state of a module is not a dictionary")
        self.attributes = state


def _tensor(storage: object, offset: object, shape: object, strides: object, *_: object) -> Tensor:
    match storage, offset, shape, strides:
        case Storage(), int(), tuple(), tuple() if all(type(number) is int for number in (*shape, *strides)):
            return Tensor(storage, offset, shape, strides)
    raise ForeignCheckpointError("it describes a tensor by something else than a storage and numbers")


def _parameter(tensor: object, *_: object) -> object:
    return tensor


def _listed(entries: list[Any]) -> list[Any]:
    return entries


def _tagged(value: object, _kind: str) -> object:
    return value


_HARMLESS: Mapping[tuple[str, str], Callable[..., object]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch.jit._pickle", "build_intlist"): _listed,
    ("torch.jit._pickle", "build_doublelist"): _listed,
    ("torch.jit._pickle", "build_boollist"): _listed,
    ("torch.jit._pickle", "build_tensorlist"): _listed,
    ("torch.jit._pickle", "restore_type_tag"): _tagged,
}
"""What a pickle may call: functions of this file, which build values and do nothing else."""


@dataclass(frozen=True)
class _StorageType:
    """The name of a type of storage; it cannot be called."""

    dtype: np.dtype[Any]


class _Unpickler(pickle.Unpickler):
    """A pickle's machine whose every name is looked up here."""

    def __init__(self, file: BinaryIO, storage: Callable[[np.dtype[Any], str, int], Storage]) -> None:
        super().__init__(file, encoding="utf-8")
        self._file, self._storage = file, storage

    def load(self) -> object:
        """Run the pickle, once it is known that the machine's memory for it fits its size."""
        start = self._file.tell()
        places = [
            number
            for instruction, number, _ in pickletools.genops(self._file)
            if instruction.name in {"PUT", "BINPUT", "LONG_BINPUT"} and isinstance(number, int)
        ]
        if max(places, default=0) > self._file.tell() - start:
            raise ForeignCheckpointError("it asks for more memory than a checkpoint needs")
        self._file.seek(start)
        return super().load()

    def find_class(self, module: str, name: str) -> object:
        if (module, name) in _HARMLESS:
            return partial(_HARMLESS[module, name])  # a pickle may write into what it gets: not into what the next gets
        if module in {"torch", "torch.storage"} and name in _STORAGES:
            return _StorageType(_STORAGES[name])
        if module.startswith("__torch__"):
            return ModuleAttributes
        raise ForeignCheckpointError(
            f"it asks for {module}.{name}, which is neither a tensor nor a plain container; nothing of it was run"
        )

    def persistent_load(self, pid: object) -> Storage:
        match pid:
            case ("storage", _StorageType(dtype), str(key), _, int(length), *view) if length >= 0 and view in (
                [],
                [None],
            ):
                return self._storage(dtype, key, length)
            case _:
                raise ForeignCheckpointError("it names a storage in a way that no version of torch does")


def read_pickled(path: Path) -> tuple[object, str | None]:
    """What a `.pt`, `.pth` or `.bin` holds: containers with arrays for tensors, and the code of a TorchScript archive.

    Raises ForeignCheckpointError if it is none, is damaged, or asks for anything but tensors and containers.
    """
    try:
        with path.open("rb") as file:
            archived = file.read(4) == b"PK\x03\x04"
        if archived:
            return _read_archive(path)
        return _read_legacy(path), None
    except ForeignCheckpointError as error:
        raise ForeignCheckpointError(f"{path} cannot be read: {error}.") from error
    except Exception as error:
        # A damaged pickle fails in as many ways as its machine has instructions.
        raise ForeignCheckpointError(f"{path} is not a file of tensors, or is damaged: {error}") from error


def _read_archive(path: Path) -> tuple[object, str | None]:
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        programs = [name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(programs) != 1:
            raise ForeignCheckpointError("it is a zip archive, but not one that torch wrote")
        root = programs[0].removesuffix("data.pkl")
        if archive.getinfo(programs[0]).file_size > _LARGEST_PROGRAM:
            raise ForeignCheckpointError("its data.pkl is too large for a checkpoint's")
        if f"{root}byteorder" in archive.namelist() and archive.read(f"{root}byteorder") != b"little":
            raise ForeignCheckpointError("it was written on a big-endian machine")
        content = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), dtype=np.uint8)

        def storage(dtype: np.dtype[Any], key: str, length: int) -> Storage:
            stored = _stored(archive, content, archive.getinfo(f"{root}data/{key}"), length * dtype.itemsize)
            return Storage(dtype, stored.view(dtype), length)

        with archive.open(programs[0]) as program:
            loaded = _Unpickler(program, storage).load()  # type: ignore[arg-type]  # zipfile's files are read as bytes
        code = [name for name in archive.namelist() if name.startswith(f"{root}code/") and name.endswith(".py")]
        source = "\n".join(archive.read(name).decode("utf-8", "replace") for name in code) if code else None
    return _arrays(loaded, {}, iter(range(_MOST_VALUES))), source


def _stored(archive: zipfile.ZipFile, content: Array, entry: zipfile.ZipInfo, size: int) -> Array:
    """The bytes of an entry; of an entry that is not compressed, as torch leaves them, a view of the file."""
    if entry.file_size < size:
        raise ForeignCheckpointError(f"{entry.filename} is shorter than its tensors")
    if entry.compress_type != zipfile.ZIP_STORED:
        return np.frombuffer(archive.read(entry), dtype=np.uint8)[:size]
    # The data begin behind a header of 30 bytes, a name and padding, whose lengths the header ends with.
    lengths = content[entry.header_offset + 26 : entry.header_offset + 30].view("<u2")
    start = entry.header_offset + 30 + int(lengths.sum())
    return content[start : start + size]


def _read_legacy(path: Path) -> object:
    """torch's format before 1.6: pickles of a magic number, a version, a machine, the object, the names of its
    storages, and then their numbers."""
    storages: dict[str, Storage] = {}

    def storage(dtype: np.dtype[Any], key: str, length: int) -> Storage:
        return storages.setdefault(key, Storage(dtype, None, length))

    def load() -> Any:
        return _Unpickler(file, storage).load()

    with path.open("rb") as file:
        if load() != _LEGACY_MAGIC or load() != _LEGACY_PROTOCOL:
            raise ForeignCheckpointError("torch did not write it")
        if load().get("little_endian") is not True:
            raise ForeignCheckpointError("it was written on a big-endian machine")
        loaded, keys = load(), load()
        numbers: dict[int, Array] = {}
        for key in keys:
            described = storages[key]
            length = int.from_bytes(file.read(8), "little")
            if length != described.length:
                raise ForeignCheckpointError("a storage is not as long as its tensors say")
            if length * described.dtype.itemsize > path.stat().st_size - file.tell():
                raise ForeignCheckpointError("it is cut off")
            numbers[id(described)] = np.fromfile(file, described.dtype, length)
    return _arrays(loaded, numbers, iter(range(_MOST_VALUES)))


def _arrays(value: object, numbers: Mapping[int, Array], left: Iterator[int]) -> object:
    """The same containers with arrays where the pickle has tensors; objects of TorchScript become dictionaries.

    Each value takes one of those `left`: a few bytes can describe lists of lists without end.
    """
    if next(left, None) is None:
        raise ForeignCheckpointError(f"it holds more than {_MOST_VALUES:,} values, as no checkpoint does")
    match value:
        case Tensor(storage=storage):
            held = storage.numbers if storage.numbers is not None else numbers.get(id(storage))
            return value.array(held) if held is not None else _nothing_behind(storage)
        case ModuleAttributes():
            return _arrays(value.attributes, numbers, left)
        case Mapping():
            return {name: _arrays(entry, numbers, left) for name, entry in value.items()}
        case list() | tuple():
            return [_arrays(entry, numbers, left) for entry in value]
        case _:
            return value


def _nothing_behind(storage: Storage) -> NoReturn:
    raise ForeignCheckpointError(f"it lacks the numbers of a storage of {storage.length}")
