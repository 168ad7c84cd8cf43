"""`torchrun -m training train`, as people start it: it trains, it is stopped, it loses a process."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from training.loop.checkpoint import latest

pytestmark = pytest.mark.slow

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "training", "train"]


def under_way(recipe: Path, out: Path) -> subprocess.Popen[bytes]:
    """A run without end whose first steps are done."""
    command = [*TORCHRUN, str(recipe), "--out", str(out), "--set", "steps=1000000", "--set", "checkpoint_every=1"]
    started = subprocess.Popen(command, stderr=subprocess.PIPE)
    assert started.stderr is not None
    said = b""
    while b"step/s, loss=" not in said:
        more = os.read(started.stderr.fileno(), 4096)
        assert more, said.decode()
        said += more
    return started


def processes_of(torchrun: subprocess.Popen[bytes]) -> list[int]:
    children = Path(f"/proc/{torchrun.pid}/task/{torchrun.pid}/children").read_text().split()
    return [int(child) for child in children if b"\0RANK=" in Path(f"/proc/{child}/environ").read_bytes()]


def test_two_processes_train_a_model_and_one_tells_the_result(recipe, tmp_path):
    ran = subprocess.run(
        [*TORCHRUN, str(recipe), "--out", str(tmp_path / "run"), "--json"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["step"] == 8
    assert json.loads((tmp_path / "run" / "environment.json").read_text())["processes"] == 2


def test_a_process_that_is_killed_ends_the_run_with_a_sentence(recipe, tmp_path):
    torchrun = under_way(recipe, tmp_path / "run")
    os.kill(processes_of(torchrun)[1], signal.SIGKILL)
    _, said = torchrun.communicate(timeout=60)
    assert torchrun.returncode == 1
    assert b"Process 0 of 2 lost another one and ends." in said


def test_sigterm_to_torchrun_saves_the_step_that_is_under_way(recipe, tmp_path):
    torchrun = under_way(recipe, tmp_path / "run")
    torchrun.terminate()
    _, said = torchrun.communicate(timeout=60)
    newest = latest(tmp_path / "run")
    assert newest is not None
    assert f"Stopped by SIGTERM after step {int(newest.stem.removeprefix('step-'))}, which is saved" in said.decode()


def test_a_guard_ends_every_process_with_a_diagnosis(recipe, tmp_path):
    rate = ("--set", "optimizer.learning_rate=1e30", "--set", "optimizer.warmup_steps=0", "--set", "steps=100")
    ran = subprocess.run(
        [*TORCHRUN, str(recipe), "--out", str(tmp_path / "run"), *rate], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1
    assert "Likely causes: a learning rate that is too high" in ran.stderr
    assert "lost another one" not in ran.stderr, "both end by themselves"
    assert latest(tmp_path / "run") is None
