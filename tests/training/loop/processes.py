"""What several processes do together: `python -m tests.training.loop.processes RECIPE OUT` does it and says it as JSON.

One interpreter loads torch and forks all of them; they talk through gloo.
"""

import io
import json
import multiprocessing
import os
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from tests.training.loop.tiny import RESNET, gradients, ignore, tiny_batch, tiny_config, tiny_training
from training.config import TrainingConfig, read_config
from training.loop.checkpoint import latest
from training.loop.ranks import ALONE, ProcessLostError, Ranks, connected, lost_processes_named
from training.loop.run import Run
from training.loop.sharding import whole

STEPS = 2
CASES: dict[str, tuple[int, dict[str, Any]]] = {
    "contrastive, two losses": (2, {"style_weight": 0.3}),
    "contrastive, two losses, another number of processes": (3, {"style_weight": 0.3}),
    "sigmoid": (3, {"loss": "sigmoid"}),
    "chunks, batch statistics, an average": (2, {"vision": RESNET, "chunk_size": 6, "ema_decay": 0.5}),
    "chunks, patch dropout, a locked tower": (3, {"chunk_size": 4, "patch_dropout": 0.5, "locked": "text"}),
    "shared weights, AdamW, chunks": (3, {"shard": True, "chunk_size": 8}),
    "shared weights, Muon, convolutions, recomputed": (
        2,
        {
            "shard": True,
            "vision": RESNET,
            "optimizer": {"kind": "muon"},
            "activation_checkpointing": True,
            "chunk_size": 12,
        },
    ),
}


def steps(config: TrainingConfig, ranks: Ranks) -> dict[str, Any]:
    """Losses and gradients of the first step, and the state after all. Several processes begin anew after the first."""
    training = tiny_training(config, ranks)
    first: dict[str, Any] = {}
    for step in range(STEPS):
        batch = tiny_batch(seed=step).part(ranks.index, ranks.count)
        record = training.step(step, batch, ignore)
        if not first:
            first = {"record": record, "gradients": {name: whole(g) for name, g in gradients(training).items()}}
            if ranks.count > 1:  # go on from a checkpoint
                state = training.state()
                training = tiny_training(config, ranks)
                training.load(state)
    return first | {"state": training.state()}


def differences(one: dict[str, Any], other: dict[str, Any]) -> dict[str, float]:
    """The largest ones, over the largest number of all where that is above 1.

    The gradient of a key's bias is zero but for rounding, which Adam makes as large as any other: it is left out.
    """

    def apart(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
        assert a.keys() == b.keys()
        largest = max(tensor.abs().max().item() for tensor in a.values())
        return max((a[n] - b[n]).abs().max().item() for n in a if "key.bias" not in n) / max(1, largest)

    return {
        "losses": max(
            abs(one["record"][name] - other["record"][name]) / abs(one["record"][name]) for name in one["record"]
        ),
        "gradients": apart(one["gradients"], other["gradients"]),
        "weights": apart(one["state"]["model"], other["state"]["model"]),
        "average": apart(one["state"]["average"], other["state"]["average"]),
    }


def on(count: int, work: Callable[[Ranks], Any]) -> Any:
    """What `work` returns in the first of `count` processes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    fork = multiprocessing.get_context("fork")
    here, there = fork.Pipe()
    children = [fork.Process(target=_process, args=(i, count, port, work, there)) for i in range(count)]
    for child in children:
        child.start()
    there.close()
    answer = torch.load(io.BytesIO(here.recv_bytes()), weights_only=True)
    for child in children:
        child.join()
    return answer


def _process(index: int, count: int, port: int, work: Callable[[Ranks], Any], pipe: Connection) -> None:
    os.environ |= {"RANK": str(index), "WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    with connected(cuda=False) as ranks:
        answer = work(ranks)
        if index == 0:
            buffer = io.BytesIO()
            torch.save(answer, buffer)
            pipe.send_bytes(buffer.getvalue())
        with suppress(ProcessLostError), lost_processes_named(ranks):
            ranks.meet()


def same_steps() -> dict[str, dict[str, float]]:
    """Every case, in several processes against one."""
    found = {}
    for name, (count, keys) in CASES.items():
        config = tiny_config(**keys)
        alone = steps(config, ALONE)
        found[name] = differences(alone, on(count, lambda ranks, c=config: steps(c, ranks)))
    return found


def last_words() -> str:
    """What the first of three processes says when the last one dies in its second step."""

    def work(ranks: Ranks) -> str:
        training = tiny_training(tiny_config(), ranks)
        try:
            with lost_processes_named(ranks):
                for step in range(3):
                    if ranks.index == 2 and step == 1:
                        os._exit(9)
                    training.step(step, tiny_batch().part(ranks.index, ranks.count), ignore)
        except ProcessLostError as error:
            return str(error)
        return "nothing happened"

    words: str = on(3, work)
    return words


def runs(recipe: Path, out: Path) -> None:
    """One run alone, and one in two processes that goes on alone from its middle."""
    config = read_config(recipe)

    def work(ranks: Ranks) -> int:
        run = Run(config, out / "two", ranks=ranks)
        run.train()
        return run.step

    Run(config, out / "one").train()
    assert on(2, work) == config.steps
    newest = latest(out / "two")
    assert newest is not None
    newest.unlink()
    Run(config, out / "two", resume=True).train()


def main() -> None:
    torch.set_num_threads(1)
    runs(Path(sys.argv[1]), Path(sys.argv[2]))
    json.dump({"differences": same_steps(), "last_words": last_words()}, sys.stdout)


if __name__ == "__main__":
    main()
