"""Batches of a data set of any size, read and decoded by other processes while the step runs."""

import hashlib
import os
import sys
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from itertools import islice, takewhile
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler

from model.tokenizer import Tokenizer
from training.config import DataSection, TrainingConfig
from training.data.ahead import ahead
from training.data.bad import BadSample, BadSamples
from training.data.batch import Batch
from training.data.captions import vocabulary_texts
from training.data.data_set import DataSet, Reference
from training.data.decoding import SPARE, Decoder, Rows, Task
from training.data.example import DataError, Example
from training.data.opening import open_data
from training.data.order import Place, ordered

_CHUNK = 64
"""Rows that a process decodes at a time."""
_AHEAD = 512 << 20
"""Bytes of decoded rows that wait for their batch, at most; /dev/shm holds them."""
VOCABULARY = 200_000
"""Samples whose captions a tokenizer is trained on, at most."""


class StreamFeed:
    """Batches in an order that seed and data alone decide: not the number of processes, nor how often it was resumed.

    Of each source a batch has the next `per_batch` samples of its stream, evenly mixed with those of the others;
    process `index` of `count` gets its equal part of the rows.
    """

    def __init__(
        self,
        config: TrainingConfig,
        sources: Sequence[DataSet[Any]],
        tokenizer: Tokenizer,
        index: int,
        count: int,
        bad: BadSamples,
    ) -> None:
        """With what `open_sources` gave. Raises DataError where the rows of a batch cannot be shared out evenly."""
        self._config, self._sources, self._tokenizer, self._bad = config, sources, tokenizer, bad
        self._index, self._count = index, count
        if config.data.batch_size % count:
            raise DataError(f"A batch of {config.data.batch_size} rows cannot be shared out among {count} processes")
        self._rows = _mixed([source.per_batch for source in config.data.train])
        self._own = slice(index * len(self._rows) // count, (index + 1) * len(self._rows) // count)
        self._state: dict[str, Any] = {}

    def batches(self, step: int, state: dict[str, Any]) -> Generator[Batch, None, None]:
        """This process's part of the batch of step number `step`, and of those after it."""
        places = [Place(*place) for place in state["sources"]] if state else [Place()] * len(self._sources)
        if len(places) != len(self._sources):
            raise DataError(f"the run began on {len(places)} sources; the configuration has {len(self._sources)}")
        self._state = state
        try:
            with closing(ahead(self._made(step, places))) as made:
                for batch, after in made:
                    self._state = {"sources": [list(place) for place in after]}
                    yield batch
        finally:
            if self._bad.summary:
                print(self._bad.summary, file=sys.stderr)

    def state(self) -> dict[str, Any]:
        """What `batches` goes on from, after the last batch that it gave."""
        return self._state

    def size(self, step: int) -> int:
        """Side of the pictures of a step, in pixels."""
        early = self._config.data.early_size if step < self._config.data.early_steps else None
        return early or self._config.model.preprocess.size

    def hash(self) -> str:
        """SHA-256 of the names and sizes of the files."""
        fingerprints = "".join(source.fingerprint() for source in self._sources)
        return hashlib.sha256(fingerprints.encode()).hexdigest()

    def _made(self, step: int, places: Sequence[Place]) -> Iterator[tuple[Batch, list[Place]]]:
        """(batch, places after it)."""
        steps: deque[tuple[int, list[Place]]] = deque()  # number of tasks, and places after the last
        loader = self._loader(_Endless(self._tasks(step, places, steps)))
        parts: list[Rows] = []
        try:
            for rows in loader:
                self._bad.good(len(rows.pixels) - len(rows.bad))
                for sample in rows.bad:
                    self._bad.add(sample)
                if rows.failure:
                    raise DataError(rows.failure)
                parts.append(rows)
                if len(parts) == steps[0][0]:
                    yield self._batch(parts), steps.popleft()[1]
                    parts = []
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise DataError(
                "A process that decodes pictures has died; memory or shared memory (/dev/shm) may be full. Fewer "
                f"data.stream.workers need less: {error}"
            ) from error

    def _batch(self, parts: Sequence[Rows]) -> Batch:
        ids, mask = self._tokenizer.encode([caption for rows in parts for caption in rows.captions])
        concepts = torch.cat([rows.concepts for rows in parts])
        return Batch(
            pixels=torch.cat([rows.pixels for rows in parts]),
            ids=torch.from_numpy(ids),
            mask=torch.from_numpy(mask),
            concepts=concepts,
            text_concepts=concepts.repeat_interleave(self._config.data.captions_per_picture),
        )

    def _tasks(self, step: int, places: Sequence[Place], steps: deque[tuple[int, list[Place]]]) -> Iterator[Task]:
        """The rows of this process, from a step on, in chunks."""
        sizes = [source.per_batch for source in self._config.data.train]
        streams = [self._stream(number, place) for number, place in enumerate(places)]
        coming: list[deque[tuple[Reference, Place]]] = [deque() for _ in sizes]
        while True:
            for size, stream, waiting in zip(sizes, streams, coming, strict=True):
                waiting.extend(islice(stream, size + SPARE - len(waiting)))
            own = self._rows[self._own]
            chunks = [own[start : start + _CHUNK] for start in range(0, len(own), _CHUNK)]
            after = [waiting[size - 1][1] for size, waiting in zip(sizes, coming, strict=True)]
            steps.append((len(chunks), after))
            for chunk in chunks:
                yield self._task(step, chunk, sizes, coming)
            for size, waiting in zip(sizes, coming, strict=True):
                for _ in range(size):
                    waiting.popleft()
            step += 1

    def _task(
        self,
        step: int,
        rows: Sequence[tuple[int, int]],
        sizes: Sequence[int],
        coming: Sequence[deque[tuple[Reference, Place]]],
    ) -> Task:
        first, samples = [], []
        for source, (size, waiting) in enumerate(zip(sizes, coming, strict=True)):
            numbers = [number for its, number in rows if its == source]
            low, high = (min(numbers), max(numbers) + 1 + SPARE) if numbers else (0, 0)
            first.append(step * size + low)
            samples.append([reference for reference, _ in islice(waiting, low, high)])
        numbered = [(source, step * sizes[source] + number) for source, number in rows]
        return Task(self.size(step), numbered, first, samples)

    def _stream(self, source: int, place: Place) -> Iterator[tuple[Reference, Place]]:
        data = self._sources[source]

        def damaged(part: str, error: DataError) -> None:
            if self._index == 0:  # every process lists every part
                self._bad.add(BadSample("the rest of it", part, str(error)))

        return ordered(data, self._config.seed + source, self._config.data.stream.buffer, place, damaged)

    def _loader(self, tasks: "_Endless") -> DataLoader[Rows]:
        config = self._config.data.stream
        decoder = Decoder(
            self._sources,
            self._config.model.preprocess,
            config,
            self._config.data.captions_per_picture,
            self._config.seed,
        )
        workers = _usual_workers() if config.workers is None else config.workers
        chunks = -(-len(self._rows) // self._count // _CHUNK)
        most = _AHEAD // (_CHUNK * 3 * self._config.model.preprocess.size**2)
        # A batch and some more: the processes have something to do while the batch is put together.
        each = max(2, min(2 * chunks, most) // workers) if workers else None
        return DataLoader(
            decoder,
            batch_size=None,
            sampler=tasks,
            num_workers=workers,
            prefetch_factor=each,
            collate_fn=_as_it_is,
            # Forked processes would inherit locks of threads that they do not have.
            multiprocessing_context="spawn" if workers else None,
            generator=torch.Generator(),  # else it draws from the run's own
        )


class _Endless(Sampler[Task]):
    """The tasks, as a DataLoader wants them."""

    def __init__(self, tasks: Iterator[Task]) -> None:
        self._tasks = tasks

    def __iter__(self) -> Iterator[Task]:
        return self._tasks


def open_sources(config: DataSection) -> list[DataSet[Any]]:
    """The data set of each source."""
    return [open_data(source.path, source.columns) for source in config.train]


def vocabulary(config: TrainingConfig, sources: Sequence[DataSet[Any]]) -> list[str]:
    """The texts that a tokenizer is trained on: of all samples, or of `VOCABULARY` from parts in random order."""
    texts: list[str] = []
    for source in sources:
        samples = ordered(source, config.seed, config.data.stream.buffer, damaged=lambda part, error: None)  # noqa: ARG005
        epoch = takewhile(lambda found: found[1].epoch == 0, samples)
        examples = []
        for reference, _ in islice(epoch, VOCABULARY // len(sources)):
            try:
                examples.append(Example(picture=b"", **source.words(reference).as_example()))
            except BadSample:
                continue  # counted when the batches are made, as parts are that are damaged
        texts += vocabulary_texts(examples)
    return texts


def _mixed(sizes: Sequence[int]) -> list[tuple[int, int]]:
    """(source, number in it) of every row, each source evenly spread over the batch."""
    spread = sorted(
        ((number + 0.5) / size, source, number) for source, size in enumerate(sizes) for number in range(size)
    )
    return [(source, number) for _, source, number in spread]


def _usual_workers() -> int:
    """Half of the cores, which the training processes of this machine share."""
    return max(1, (os.cpu_count() or 1) // 2 // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def _as_it_is(rows: Any) -> Any:
    return rows
