"""The service with an encoder that stops at a gate: python -m tests.app.gated_service DATA GATE

Before each batch of words it says on stderr what they are, and then waits until somebody writes a line into the named
pipe GATE.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.commands.serve import serve
from app.settings import Settings
from tests.app.dummy import ColourEncoder

log = logging.getLogger("tests")


class AtGate(ColourEncoder):
    def __init__(self, gate: Path) -> None:
        super().__init__()
        self._gate = gate

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        log.warning("encoding %s", ", ".join(texts))
        with self._gate.open() as gate:
            gate.readline()
        return super().encode_texts(texts)


if __name__ == "__main__":
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    sys.exit(serve(Settings(data=Path(sys.argv[1]), port=0, demo=False), AtGate(Path(sys.argv[2]))))
