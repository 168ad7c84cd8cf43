"""What a run says of each step: a line of JSON, and the same numbers for TensorBoard."""

import json
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from tensorboardX import SummaryWriter  # type: ignore[import-untyped]

from model.durable import write_atomic

LOG = "log.jsonl"
TENSORBOARD = "tensorboard"


def read_log(run: Path) -> list[dict[str, Any]]:
    """The record of each step. A line that a lost machine has cut off is none."""
    path, records = run / LOG, []
    for line in path.read_text("utf-8", errors="replace").splitlines() if path.is_file() else ():
        with suppress(ValueError):
            records.append(json.loads(line))
    return records


class Log:
    """The log of a run that has done `step` steps; records of later ones, which are run again, go."""

    def __init__(self, run: Path, step: int) -> None:
        lines = [json.dumps(record) for record in read_log(run) if record["step"] <= step]
        write_atomic(run / LOG, "".join(f"{line}\n" for line in lines).encode())
        self._file = (run / LOG).open("a", encoding="utf-8")
        self._events = SummaryWriter(str(run / TENSORBOARD), purge_step=step + 1)

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
        self._events.close()

    def write(self, record: dict[str, Any]) -> None:
        """Add the record of a step: its "step", and numbers by name."""
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()
        for name, value in record.items():
            if name != "step":
                self._events.add_scalar(name.replace("@", "_at_"), value, record["step"])  # a tag has no @
