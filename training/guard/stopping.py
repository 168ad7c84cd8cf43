"""How a guard ends a run: with a diagnosis, and with a good checkpoint as the newest one."""

from typing import NoReturn

from model.errors import ParallaxError
from training.loop.checkpoint import SUSPECT, latest, set_aside
from training.loop.run import Run

VECTORS = "vectors"
"""In `Run.good_steps`: the last step whose state gave vectors that have not collapsed."""


class RunStoppedError(ParallaxError):
    """A run went wrong and was ended."""


def stop(run: Run, seen: str, causes: str, advice: str, since: int) -> NoReturn:
    """End a run of which states of `since` steps and more are bad. Every process has to come here in the same step.

    `seen` says which value passed which limit. Checkpoints of bad states are set aside, so that the newest one of the
    run is good.
    """
    since = min(
        since, run.good_steps.get(VECTORS, run.step) + 1
    )  # vectors that had begun to collapse are no good state
    if run.ranks.index == 0:
        set_aside(run.folder, since)
    run.ranks.meet()
    good = latest(run.folder)
    last = (
        f"The last good checkpoint is {good}; --resume goes on from there, `python -m training export` takes it"
        if good
        else "There is no good checkpoint yet: begin anew"
    )
    raise RunStoppedError(
        f"Stopped in step {run.step + 1}: {seen}\nLikely causes: {causes}.\nWhat to do: {advice}.\n{last}. "
        f"Later ones, if there were any, are called *{SUSPECT}. guard.on = false lets a run go on whatever happens."
    )
