"""Tensors come out of every kind of file that torch writes; programs hidden in such a file do not run."""

import io
import os
import pickle
import struct
import warnings
import zipfile
from collections import OrderedDict
from contextlib import suppress
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.errors import ForeignCheckpointError
from model.importing.pickles import read_pickled
from model.weights import BFLOAT16, to_float32


def tensors():
    """All that can go wrong with a view: a transposed one, a shared one, an empty one, a scalar, other types."""
    torch.manual_seed(0)
    base = torch.randn(4, 6)
    return OrderedDict(
        base=base,
        turned=base.t(),
        corner=base[1:3, 2:5],
        half=base.half(),
        brain=base.bfloat16(),
        double=base.double(),
        counter=torch.tensor(3),
        flags=torch.tensor([True, False]),
        nothing=torch.empty(0, 3),
        parameter=torch.nn.Parameter(base + 1),
    )


def same(read, written):
    assert read.keys() == written.keys()
    for name, tensor in written.items():
        if tensor.dtype == torch.bfloat16:
            assert read[name].dtype == BFLOAT16
            np.testing.assert_array_equal(to_float32(read[name]), tensor.float().numpy())
        else:
            np.testing.assert_array_equal(read[name], tensor.detach().numpy())
            assert read[name].dtype == tensor.detach().numpy().dtype


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_both_formats_of_torch_save_are_read(tmp_path, zipped):
    written = tensors()
    torch.save(written, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    read, code = read_pickled(tmp_path / "a.pt")
    same(read, written)
    assert code is None


def test_an_archive_that_was_packed_again_is_read(tmp_path):
    torch.save(tensors(), tmp_path / "a.pt")
    with (
        zipfile.ZipFile(tmp_path / "a.pt") as old,
        zipfile.ZipFile(tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    same(read_pickled(tmp_path / "b.pt")[0], tensors())


def test_tensors_of_an_archive_are_views_of_the_file(tmp_path):
    """A checkpoint's optimizer, which nobody asks for, costs no memory."""
    torch.save({"a": torch.zeros(1000)}, tmp_path / "a.pt")
    array = read_pickled(tmp_path / "a.pt")[0]["a"]
    assert not array.flags.owndata
    assert not array.flags.writeable


def script(module):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, and what OpenAI published
        return torch.jit.script(module)


class Inner(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(3, 2))
        self.register_buffer("size", torch.tensor(5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weight


class Outer(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(Inner(), torch.nn.BatchNorm1d(2))
        self.scale = torch.nn.Parameter(torch.tensor(2.5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x) * torch.sigmoid(1.702 * self.scale)


def test_a_torchscript_archive_gives_its_tensors_and_its_code(tmp_path):
    made = script(Outer().half())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.save(tmp_path / "a.pt")
    read, code = read_pickled(tmp_path / "a.pt")
    np.testing.assert_array_equal(read["layers"]["0"]["weight"], made.layers[0].weight.detach().numpy())
    assert read["layers"]["0"]["size"] == 5
    assert read["layers"]["1"]["num_batches_tracked"] == 0
    assert read["scale"] == np.float16(2.5)
    assert "torch.sigmoid(" in code


class Malicious:
    """Pickles as a call of whatever it was made with."""

    def __init__(self, *call) -> None:
        self.call = call

    def __reduce__(self):
        return self.call


def attacks(trace):
    write = f"open({str(trace)!r}, 'w').write('ran')"
    return {
        "os.system": Malicious(os.system, (f"touch {trace}",)),
        "builtins.eval": Malicious(eval, (write,)),
        "builtins.exec": Malicious(exec, (write,)),
        "builtins.getattr": Malicious(getattr, ([], "append")),
        "builtins.open": Malicious(open, (str(trace), "w")),
        "torch.load": Malicious(torch.load, (str(trace),)),
        "torch.nn": torch.nn.Linear(1, 1),
        "numpy": np.zeros(3),
    }


def as_zip(payload):
    file = io.BytesIO()
    torch.save({"a": torch.zeros(2), "b": payload}, file)
    return file.getvalue()


def as_legacy(payload):
    file = io.BytesIO()
    torch.save({"a": torch.zeros(2), "b": payload}, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def as_torchscript(payload):
    made, file = script(Inner()), io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(made, file)
    changed = io.BytesIO()
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            new.writestr(name, pickle.dumps(payload, 2) if name.endswith("/data.pkl") else old.read(name))
    return changed.getvalue()


def as_pickle(payload):
    return pickle.dumps(payload, 4)


@pytest.mark.parametrize("form", [as_zip, as_legacy, as_torchscript, as_pickle])
@pytest.mark.parametrize("attack", attacks(None))
def test_a_malicious_file_is_refused_and_nothing_runs(tmp_path, form, attack):
    trace = tmp_path / "trace"
    (tmp_path / "a.pt").write_bytes(form(attacks(trace)[attack]))
    with pytest.raises(ForeignCheckpointError) as caught:
        read_pickled(tmp_path / "a.pt")
    assert "asks for" in str(caught.value)
    assert "nothing of it was run" in str(caught.value)
    assert not trace.exists()


@pytest.mark.parametrize(
    "name",
    [
        "posix system", "nt system", "builtins __import__", "torch._utils __builtins__", "torch serialization",
        "collections OrderedDict.fromkeys", "torch.storage _load_from_bytes", "copyreg __newobj__",
    ],
)  # fmt: skip
def test_only_the_names_of_tensors_and_containers_are_known(tmp_path, name):
    """Every way to spell a name in a pickle comes to the same table."""
    module, attribute = (part.encode() for part in name.split())
    short = b"\x80\x02c" + module + b"\n" + attribute + b"\n."
    stacked = b"\x80\x04\x8c" + bytes([len(module)]) + module + b"\x8c" + bytes([len(attribute)]) + attribute + b"\x93."
    instance = b"\x80\x02(i" + module + b"\n" + attribute + b"\n."
    for program in (short, stacked, instance):
        (tmp_path / "a.pt").write_bytes(program)
        with pytest.raises(ForeignCheckpointError, match="asks for"):
            read_pickled(tmp_path / "a.pt")


def archive(program, **entries):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("a/data.pkl", program)
        for name, data in entries.items():
            made.writestr(f"a/data/{name}", data)
    return file.getvalue()


def described(storage_length, offset, shape, strides):
    """A pickle of one tensor, written by hand."""

    class Described:
        def __reduce__(self):
            return torch._utils._rebuild_tensor_v2, (Storage(), offset, shape, strides, False, OrderedDict())

    class Storage:
        pass

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            return ("storage", torch.FloatStorage, "0", "cpu", storage_length) if isinstance(value, Storage) else None

    file = io.BytesIO()
    Pickler(file, 2).dump(Described())
    return file.getvalue()


@pytest.mark.parametrize(
    ("length", "offset", "shape", "strides"),
    [
        (4, 0, (5,), (1,)),
        (4, 1, (4,), (1,)),
        (4, 0, (2, 2), (4, 1)),
        (4, 3, (2,), (-1,)),
        (4, -1, (1,), (1,)),
        (4, 0, (2,), (2**62,)),
        (4, 0, (2**40, 2**40), (0, 1)),
        (4, 0, ("2",), (1,)),
        (4, 0, (2,), (1, 1)),
        (2**50, 0, (2**50,), (1,)),
        (-1, 0, (1,), (1,)),
    ],
)
def test_a_tensor_that_reaches_out_of_its_storage_is_refused(tmp_path, length, offset, shape, strides):
    """It would read memory that is not the file's."""
    data = np.arange(4, dtype=np.float32).tobytes()
    (tmp_path / "a.pt").write_bytes(archive(described(length, offset, shape, strides), **{"0": data}))
    with pytest.raises(ForeignCheckpointError):
        read_pickled(tmp_path / "a.pt")


def test_a_tensor_within_its_storage_is_read(tmp_path):
    data = np.arange(4, dtype=np.float32).tobytes()
    (tmp_path / "a.pt").write_bytes(archive(described(4, 1, (3,), (1,)), **{"0": data}))
    np.testing.assert_array_equal(read_pickled(tmp_path / "a.pt")[0], [1, 2, 3])


@cache
def whole(zipped):
    """The bytes of a file, made once: the old kind holds addresses in memory, which may be longer the next time."""
    file = io.BytesIO()
    torch.save({"a": torch.arange(6.0), "b": torch.ones(2, 3)}, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damage_gives_an_error_or_tensors(tmp_path_factory, zipped, data):
    content = bytearray(whole(zipped))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    del content[data.draw(st.sampled_from([len(content), len(content) - 1, len(content) // 2])) :]
    path = tmp_path_factory.mktemp("damage") / "a.pt"
    path.write_bytes(content)
    with suppress(ForeignCheckpointError):
        read_pickled(path)


@pytest.mark.parametrize(
    "program",
    [
        b"\x80\x02}r\xff\xff\xff\x7f.",
        b"\x80\x02}p2147483647\n.",
        b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b".",
        b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b".",
        b"\x80\x02]" + b"2\x86" * 60 + b".",
    ],
    ids=["memo", "old memo", "bytes", "bytearray", "lists of lists"],
)
def test_a_few_bytes_cannot_take_all_memory_or_time(tmp_path, program):
    (tmp_path / "a.pt").write_bytes(archive(program))
    with pytest.raises(ForeignCheckpointError):
        read_pickled(tmp_path / "a.pt")


@pytest.mark.parametrize("content", [b"", b"\x00", b"not a checkpoint", struct.pack("<Q", 3), pickle.dumps([1, 2])])
def test_what_torch_did_not_write_is_refused(tmp_path, content):
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(ForeignCheckpointError):
        read_pickled(tmp_path / "a.pt")


def test_a_zip_that_torch_did_not_write_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as made:
        made.writestr("holiday.txt", "sun")
    with pytest.raises(ForeignCheckpointError, match="not one that torch wrote"):
        read_pickled(tmp_path / "a.pt")
