"""Pictures in two parts: those that a model is fine-tuned on, and those that show what that was worth."""

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from model.errors import PictureError
from model.picture import decode
from model.shards import Sample, ShardWriter
from training.data.bad import BadSample, BadSamples
from training.data.data_set import Reference
from training.data.example import DataError
from training.data.opening import open_data
from training.data.samples import every_sample
from training.data.words import Words

TRAIN, HELD_OUT = "train", "held-out"
_SHARD = 1000
_KINDS = {b"\x89PNG": "png", b"\xff\xd8": "jpg", b"RIFF": "webp", b"GIF8": "gif", b"BM": "bmp"}


@dataclass(frozen=True, slots=True)
class Part:
    """A part as shards in a folder, and how many pictures and concepts it has."""

    folder: Path
    pictures: int
    concepts: int


def split(data: Path, out: Path, share: float) -> tuple[Part, Part]:
    """Write the samples of any data set as shards, `out`/train and `out`/held-out, which gets `share` of them.

    A hash of the picture's bytes decides: the same picture always goes the same way, twice or under another name, and
    whatever is added. Raises DataError where a part stays empty, TooManyBad where too many samples are bad.
    """
    opened, bad = open_data(data), BadSamples(out / "bad_samples.jsonl")
    waiting: dict[str, list[Sample]] = {TRAIN: [], HELD_OUT: []}
    counts, concepts = dict.fromkeys(waiting, 0), {name: set[str]() for name in waiting}
    for name in waiting:
        for old in (out / name).glob("*.tar"):
            old.unlink()

    def read(reference: Reference) -> tuple[Words, bytes]:
        words, picture = opened.words(reference), opened.picture(reference)
        try:
            decode(picture)  # what cannot be is no concept that a batch may count on
        except PictureError as error:
            raise BadSample(reference.key, opened.parts[reference.part], str(error)) from error
        return words, picture

    progress = tqdm(every_sample(opened, read, bad), desc="reading", unit="picture", mininterval=1.0)
    for words, picture in progress:
        name = HELD_OUT if _number(picture) < share else TRAIN
        waiting[name].append(_sample(f"{counts[name]:09}", words, picture))
        counts[name] += 1
        concepts[name].add(words.meaning)
        if len(waiting[name]) == _SHARD:
            _write(out / name, counts[name], waiting[name])
    bad.finish()
    if bad.summary:
        print(bad.summary, file=sys.stderr)
    for name, samples in waiting.items():
        if samples:
            _write(out / name, counts[name], samples)
        if not counts[name]:
            raise DataError(f"{data}: {opened.description}; none of it falls into the part {name!r} of {share:g}")
    train, held_out = (Part(out / name, counts[name], len(concepts[name])) for name in waiting)
    return train, held_out


def _number(picture: bytes) -> float:
    """Evenly in 0 … 1."""
    return int.from_bytes(hashlib.sha256(picture).digest()[:8], "big") / 2**64


def _write(folder: Path, count: int, samples: list[Sample]) -> None:
    with ShardWriter(folder / f"{(count - 1) // _SHARD:05}.tar") as shard:
        for sample in samples:
            shard.write(sample)
    samples.clear()


def _sample(key: str, words: Words, picture: bytes) -> Sample:
    """What is said stays what it was, as `words_of_files` reads it."""
    kind = next((kind for start, kind in _KINDS.items() if picture.startswith(start)), "avif")
    metadata: dict[str, Any] = {
        "tags": list(words.tags),
        "concept": words.concept,
        "source": words.style,
        "group": words.group,
        "labels": dict(words.labels),
        "keywords": {code: list(tags) for code, tags in words.keywords.items()},
    }
    captions = [words.label, *words.captions]
    return Sample(key, picture, kind, "", {"caption": captions, "metadata": metadata})
