"""How a guard ends a run: with a diagnosis, and with a good checkpoint as the newest one."""

from typing import NoReturn

from model.errors import ParallaxError
from training.loop.checkpoint import SUSPECT, latest, set_aside
from training.loop.run import Run

VECTORS = "vectors"
"""In `Run.good_steps`: the last step whose state gave vectors that have not collapsed."""


class RunStoppedError(ParallaxError):
    """A run went wrong and was ended."""


def stop(run: Run, seen: str, causes: str, advice: str, since: int, step: int | None = None) -> NoReturn:
    """End a run of which states of `since` steps and more are bad. Every process has to come here in the same step.

    `step` is the number of the one that is under way, unless it has been counted already. `seen` says which value
    passed which limit. Checkpoints of bad states are set aside, so that the newest one of the run is good.
    """
    since = min(
        since, run.good_steps.get(VECTORS, run.step) + 1
    )  # vectors that had begun to collapse are no good state
    if run.ranks.index == 0:
        set_aside(run.folder, since)
    run.ranks.meet()
    good = latest(run.folder)
    last = (
        f"The last good checkpoint is {good}; `python -m training export` takes it, and the same command goes on from "
        "there, `train` with --resume"
        if good
        else "There is no good checkpoint yet: begin anew"
    )
    raise RunStoppedError(
        f"Stopped in step {step or run.step}: {seen}\nLikely causes: {causes}.\nWhat to do: {advice}.\n{last}. "
        f"Later ones, if there were any, are called *{SUSPECT}. guard.on = false lets a run go on whatever happens."
    )
