"""Stopping a run from outside: the step that is under way is finished and saved first."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_STATUS = 128 + signal.SIGTERM
"""Of a run that SIGTERM stopped, as a shell reports it: 143."""


class Termination:
    """Whether SIGTERM has come."""

    def __init__(self) -> None:
        self.asked = False

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Within, SIGTERM is taken note of and no longer ends the process."""

        def note(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001
            self.asked = True

        before = signal.signal(signal.SIGTERM, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)
