"""A file of weights is the format's own, whoever writes it, and no tensor of it is in memory twice."""

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save
from safetensors.torch import load_file as load_torch
from safetensors.torch import save_file as save_torch

from model.errors import WeightsError
from model.weights import BFLOAT16, read_tensors, to_float32, write_tensors


def tensors():
    rng = np.random.default_rng(0)
    return {
        "single": rng.standard_normal((3, 5), dtype=np.float32),
        "half": rng.standard_normal((3, 5)).astype(np.float16),
        "ä name": rng.standard_normal(4),
        "counter": np.array(7, dtype=np.int64),
        "nothing": np.zeros((0, 3), dtype=np.float32),
        "flags": np.array([True, False, True]),
        "byte": np.arange(5, dtype=np.uint8),
    }


def test_the_bytes_are_those_of_the_formats_own_library(tmp_path):
    write_tensors(tmp_path / "a.safetensors", tensors())
    assert (tmp_path / "a.safetensors").read_bytes() == save(tensors())


def test_what_was_written_is_read_by_the_library_and_here(tmp_path):
    views = tensors() | {"turned": tensors()["single"].T, "cut": tensors()["single"][1:, 2:4]}
    write_tensors(tmp_path / "a.safetensors", views, {"format": "pt"})
    theirs, ours = load_file(tmp_path / "a.safetensors"), read_tensors(tmp_path / "a.safetensors")
    assert theirs.keys() == ours.keys() == views.keys()
    for name, value in views.items():
        np.testing.assert_array_equal(theirs[name], value)
        np.testing.assert_array_equal(ours[name], value)
        assert ours[name].dtype == value.dtype
        assert not ours[name].flags.writeable


def test_bfloat16_stays_what_it_is_and_its_numbers_can_be_had(tmp_path):
    written = {"a": torch.randn(4, 6).bfloat16(), "b": torch.tensor([0.0, -1.5, float("inf"), 1e-30]).bfloat16()}
    save_torch(written, tmp_path / "a.safetensors")
    read = read_tensors(tmp_path / "a.safetensors")
    assert read["a"].dtype == BFLOAT16
    np.testing.assert_array_equal(to_float32(read["b"]), written["b"].float().numpy())
    write_tensors(tmp_path / "b.safetensors", {"a": read["a"].T[1:3], "b": read["b"]})
    again = load_torch(tmp_path / "b.safetensors")
    assert torch.equal(again["a"], written["a"].T[1:3])


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", struct.pack("<Q", 2**60) + b"{}", struct.pack("<Q", 2) + b"{}" + b"behind", b"\x80\x04\x95" * 9],
)
def test_what_is_no_safetensors_is_refused(tmp_path, content):
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(WeightsError, match=r"a\.safetensors"):
        read_tensors(tmp_path / "a.safetensors")


def test_a_failed_write_leaves_the_file_that_was_there(tmp_path):
    path = tmp_path / "a.safetensors"
    write_tensors(path, tensors())
    before = path.read_bytes()
    with pytest.raises(KeyError):
        write_tensors(path, {"odd": np.zeros(3, dtype=np.complex64)})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="peak memory of one process is told by Linux")
def test_copying_a_file_takes_no_memory_for_a_second_copy(tmp_path):
    """A process of its own rewrites 128 MiB, and needs the pages of the file and one tensor at a time."""
    size = 128 * 2**20
    rows = {f"t{index}": np.zeros((2**10, 2**11), dtype=np.float32) for index in range(16)}
    (tmp_path / "a.safetensors").write_bytes(save(rows))
    code = (
        "import re, sys; from pathlib import Path; from model.weights import read_tensors, write_tensors\n"
        "peak = lambda: int(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]) * 1024\n"
        "idle = peak(); tensors = read_tensors(Path(sys.argv[1]))\n"
        "write_tensors(Path(sys.argv[2]), {name: array.T for name, array in tensors.items()})\n"
        "print(peak() - idle)"
    )
    command = [sys.executable, "-c", code, tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 0.5 * size < int(answer.stdout) < 1.4 * size
