"""The training loop: batches in, checkpoints and a log out, resumable at any step."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from model.clip import CLIP
from model.durable import write_atomic
from model.errors import ParallaxError
from training.config import StartSection, TrainingConfig
from training.loop.checkpoint import CheckpointError, latest, load_checkpoint, save_checkpoint
from training.loop.curves import draw_curves
from training.loop.device import find_device, set_threads
from training.loop.environment import environment
from training.loop.feed import open_feed
from training.loop.hook import Hook
from training.loop.log import Log, read_log
from training.loop.ranks import ALONE, Ranks
from training.loop.start import read_tokenizer, resumed_model, start_model, start_tokenizer
from training.loop.termination import Termination
from training.loop.training import Training
from training.loop.validation import Validation

ENVIRONMENT = "environment.json"
CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
CURVES = "curves.png"


class RunFolderError(ParallaxError):
    """The folder of a run cannot be used."""


class Run:
    """One training run in a folder: configuration, environment, tokenizer, checkpoints, log and curves.

    With `resume` it goes on from the folder's newest checkpoint, and every number is what it would have been without
    the stop; without, a folder that holds a run already is refused.
    """

    def __init__(
        self,
        config: TrainingConfig,
        folder: Path,
        resume: bool = False,
        hooks: Sequence[Hook] = (),
        ranks: Ranks = ALONE,
    ) -> None:
        state = load_checkpoint(folder) if resume else None
        if state is None and latest(folder):
            raise RunFolderError(f"{folder} already holds a run: go on with it by --resume, or name another folder")
        if state is None and (folder / CONFIG).exists() and not (folder / ENVIRONMENT).exists():
            raise RunFolderError(f"{folder} holds a {CONFIG} that is of no run: name another folder")
        self.config, self.folder, self.hooks, self.ranks = config, folder, hooks, ranks
        self.device = find_device(config.device)
        set_threads(config.threads)
        torch.manual_seed(config.seed)
        captions, feed = open_feed(config, folder, ranks)
        if state is None:
            self.tokenizer = start_tokenizer(config, captions)
            model = start_model(config, self.tokenizer)
        else:
            self.tokenizer = read_tokenizer(config, folder / TOKENIZER)
            model = resumed_model(config, self.tokenizer, state)
        self.training = Training(model, config, self.device, ranks)
        self.feed = feed(self.tokenizer)
        self.validation = Validation(config, {self.feed.size(0), config.model.preprocess.size})
        self.step, self.seconds = 0, 0.0
        self.terminated = False
        self.good_steps: dict[str, int] = {}  # the last one whose state is known to be good, by who says so
        self._feed_state: dict[str, Any] = {}
        if state is not None:
            try:
                self.training.load(state)
            except RuntimeError as error:
                raise CheckpointError(f"the checkpoint in {folder} is of another model: {error}") from error
            self.step, self.seconds, self._feed_state = state["step"], state["seconds"], state["feed"]

    @property
    def model(self) -> CLIP:
        """The model as it is trained."""
        return self.training.model

    @property
    def average(self) -> CLIP:
        """The average of its weights, which is validated and exported."""
        return self.training.average

    def train(self) -> None:
        """Run the steps that are left; after SIGTERM, which sets `terminated`, only the one under way.

        Either way the state is saved. Raises what a hook raises, and ProcessLostError.
        """
        if self._is_first:
            self._write_records()
        self.ranks.meet()
        termination = Termination()
        with termination.watched():
            for hook in self.hooks:
                hook.start(self)
            if self._is_first:
                try:
                    with Log(self.folder, self.step) as log:
                        self._steps(termination, log)
                finally:  # they say most of a run that was ended
                    draw_curves(read_log(self.folder), self.folder / CURVES)
            else:
                self._steps(termination, None)

    def validate(self) -> dict[str, float]:
        """Label → picture retrieval of the averaged weights on the validation shards, at the size of the last step.

        At another size than it was just trained at, a convolutional tower does far worse than it can.
        """
        size = self.trained_size
        return self.validation.measure(self.average, self.tokenizer, size, self.device)

    @property
    def trained_size(self) -> int:
        """Side of the pictures that the model was trained on last, before the first step too if it started as one."""
        if self.step == 0 and isinstance(self.config.model, StartSection):
            return self.config.model.preprocess.size
        return self.feed.size(max(0, self.step - 1))

    @property
    def _is_first(self) -> bool:
        """Whether this process writes what all of them have come to."""
        return self.ranks.index == 0

    def _steps(self, termination: Termination, log: Log | None) -> None:
        config = self.config
        progress = tqdm(
            total=config.steps, initial=self.step, desc="training", unit="step", mininterval=1.0, disable=log is None
        )
        with progress, closing(self.feed.batches(self.step, self._feed_state)) as batches:
            while self.step < config.steps and not self.terminated:
                started = time.perf_counter()
                batch = next(batches)
                waited = time.perf_counter() - started
                record: dict[str, Any] = self.training.step(self.step, batch, self._watch)
                self.step += 1
                seconds = time.perf_counter() - started
                self.seconds += seconds
                speed = len(batch.pixels) * self.ranks.count / seconds
                record |= {"step": self.step, "samples_per_second": speed, "waiting": waited / seconds}
                if self.step % config.validate_every == 0 or self.step == config.steps:
                    record |= {f"validation_{name}": value for name, value in self.validate().items()}
                for hook in self.hooks:
                    hook.step(self, record)
                if log:
                    log.write(record)
                progress.set_postfix(loss=f"{record['loss']:.3f}", samples=f"{speed:.0f}/s", refresh=False)
                progress.update()
                self.terminated = self.ranks.any(termination.asked)
                if self.step % config.checkpoint_every == 0 or self.step == config.steps or self.terminated:
                    self._save()

    def _watch(self, losses: dict[str, float], images: Tensor, texts: Tensor) -> None:
        for hook in self.hooks:
            hook.loss(self, losses, images, texts)

    def _save(self) -> None:
        self._feed_state = self.feed.state()
        own = {"step": self.step, "seconds": self.seconds, "feed": self._feed_state}
        state = own | self.training.state()
        if self._is_first:
            save_checkpoint(self.folder, state, self.config.keep_checkpoints, self.good_steps.values())
        self.ranks.meet()

    def _write_records(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        facts = environment(self.device, self.ranks.count) | {"data": self.feed.hash()}
        _tell_of_changes(self.folder / CONFIG, self.config.model_dump(mode="json"))
        _tell_of_changes(self.folder / ENVIRONMENT, facts)
        write_atomic(self.folder / ENVIRONMENT, json.dumps(facts, indent=2).encode())  # first: the mark of a run
        write_atomic(self.folder / CONFIG, self.config.model_dump_json(indent=2).encode())
        write_atomic(self.folder / TOKENIZER, self.tokenizer.to_bytes())


def _tell_of_changes(path: Path, now: dict[str, Any]) -> None:
    """On stderr, what a resumed run no longer has as it was: its numbers are then not those of a run without a stop."""
    if not path.is_file():
        return
    for name, before, value in _changes(json.loads(path.read_text("utf-8")), now):
        print(f"{path.name}: {name} was {before!r}, is {value!r}", file=sys.stderr)


def _changes(before: Any, now: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Where two trees differ, by dotted names; what only one of them has is no difference."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in (key for key in now if key in before):
            yield from _changes(before[key], now[key], f"{name}.{key}" if name else key)
    elif before != now:
        yield name, before, now
