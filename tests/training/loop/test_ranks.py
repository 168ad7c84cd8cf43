"""Several processes do what one does, go on as any other number of them, and say so when one is lost."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.conftest import write_recipe
from training.loop.checkpoint import load_checkpoint
from training.loop.log import read_log


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def told(out: Path) -> Any:
    """What `tests.training.loop.processes` says."""
    recipe = write_recipe(out / "tiny.toml", 'precision = "float32"', "chunk_size = 20")
    command = [sys.executable, "-W", "error", "-m", "tests.training.loop.processes", str(recipe), str(out)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_processes_take_the_steps_that_one_would(told):
    """Losses and gradients of the first step, weights and their average after the second."""
    for case, differences in told["differences"].items():
        assert differences["losses"] < 1e-6, case
        assert differences["gradients"] < 1e-6, case
        # Muon's bfloat16 makes more of the last digit.
        tolerance = 1e-4 if "Muon" in case else 1e-6
        assert differences["weights"] < tolerance, case
        assert differences["average"] < tolerance, case


def test_a_process_that_dies_ends_the_others_with_a_sentence(told):
    assert told["last_words"].startswith("Process 0 of 3 lost another one and ends.")
    assert "--resume" in told["last_words"]


def test_a_run_goes_on_with_another_number_of_processes(told, out):
    """Its chunks are the same ones, so the log is that of a run on one process throughout."""
    straight, shared = read_log(out / "one"), read_log(out / "two")
    assert [record["step"] for record in shared] == list(range(1, 9))
    assert [record["loss"] for record in shared] == pytest.approx([record["loss"] for record in straight], rel=1e-4)
    weights = [load_checkpoint(out / name)["model"] for name in ("one", "two")]
    assert all(torch.allclose(weights[0][name].float(), weights[1][name].float(), atol=1e-3) for name in weights[0])
