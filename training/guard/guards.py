"""What watches a run unless its configuration says otherwise."""

from collections.abc import Sequence

from training.config import TrainingConfig
from training.guard.canary import Canary
from training.guard.collapse import Collapse
from training.guard.finite import Finite
from training.loop.hook import Hook


def guards(config: TrainingConfig) -> Sequence[Hook]:
    """The guards of a run: numbers first, then vectors, then what they are good for."""
    section = config.guard
    return (Finite(), Collapse(section), Canary(section)) if section.on else ()
