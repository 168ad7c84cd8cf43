"""What a run is trained on does not depend on how many processes there are, nor on how often it was resumed."""

import json
from itertools import islice

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.tokenizer import Tokenizer
from tests.training.data.data_sets import caption, picture, write_shards
from training.config import TrainingConfig
from training.data.bad import BAD_SAMPLES, BadSamples, TooManyBad
from training.data.batch import Batch
from training.data.decoding import concept_number, said
from training.data.example import DataError, Example
from training.data.kind import kind
from training.data.stream import StreamFeed, _mixed, open_sources, vocabulary

COUNT = 50
PARTS = ("pixels", "ids", "mask", "concepts", "text_concepts")


@pytest.fixture
def streamed(config: TrainingConfig, tmp_path) -> TrainingConfig:
    """Two sources, of which a batch has 8 and 4 rows."""
    write_shards(tmp_path / "one", COUNT, 3)
    folder = tmp_path / "two"
    folder.mkdir()
    for number in range(20):
        (folder / f"{number}.png").write_bytes(picture(number + 100))
        (folder / f"{number}.txt").write_text(caption(number + 100), "utf-8")
    return with_sources(config, (tmp_path / "one", 8), (folder, 4))


def with_sources(config: TrainingConfig, *sources, **data) -> TrainingConfig:
    tree = config.model_dump()
    tree["data"]["train"] = [{"path": path, "per_batch": rows, "kind": "stream"} for path, rows in sources]
    tree["data"]["stream"] = {"workers": 0, "buffer": 20}
    return TrainingConfig.model_validate(tree | {"data": tree["data"] | data})


def tokenizer(config: TrainingConfig) -> Tokenizer:
    return Tokenizer.train(vocabulary(config, open_sources(config.data)), 400, 32)


def feed(config: TrainingConfig, index: int = 0, count: int = 1, bad: BadSamples | None = None) -> StreamFeed:
    return StreamFeed(config, open_sources(config.data), tokenizer(config), index, count, bad or BadSamples())


def take(config: TrainingConfig, steps: int, *, index: int = 0, count: int = 1) -> list[Batch]:
    batches = feed(config, index, count).batches(0, {})
    taken = list(islice(batches, steps))
    batches.close()
    return taken


def same(one: Batch, other: Batch) -> bool:
    return all(torch.equal(getattr(one, part), getattr(other, part)) for part in PARTS)


def test_a_batch_has_its_rows_and_what_belongs_together(streamed):
    batch = take(streamed, 1)[0]
    assert batch.pixels.shape == (12, 3, 12, 12), "an early step is small"
    assert batch.pixels.dtype == torch.uint8
    assert batch.concepts.tolist() == batch.text_concepts.tolist()
    known = {concept_number(caption(number)): number for number in range(COUNT + 100)}
    numbers = [known[number] for number in batch.concepts.tolist()]
    assert sum(number >= 100 for number in numbers) == 4
    assert sum(number >= 100 for number in numbers[:6]) == 2, "sources are spread evenly"
    later = take(streamed, 4)[3]
    assert later.pixels.shape == (12, 3, 16, 16)


@pytest.mark.parametrize("count", [2, 3])
def test_processes_share_each_batch_out(streamed, count):
    alone = take(streamed, 9)
    parts = [take(streamed, 9, index=index, count=count) for index in range(count)]
    for step, whole in enumerate(alone):
        for part in ("pixels", "concepts", "text_concepts"):
            together = torch.cat([getattr(batches[step], part) for batches in parts])
            assert torch.equal(together, getattr(whole, part))


def test_a_resumed_run_sees_what_a_straight_one_does(streamed):
    """Over the ends of epochs, and on another number of processes."""
    straight = take(streamed, 14)
    stopped = feed(streamed)
    batches = stopped.batches(0, {})
    for _ in range(5):
        next(batches)
    state = json.loads(json.dumps(stopped.state()))
    batches.close()
    resumed = feed(streamed).batches(5, state)
    for step in range(5, 14):
        assert same(next(resumed), straight[step])
    resumed.close()
    half = feed(streamed, 1, 2).batches(5, state)
    assert torch.equal(next(half).pixels, straight[5].pixels[6:])
    half.close()


def test_worker_processes_give_the_same_batches(streamed):
    expected = take(streamed, 3)
    streamed = with_sources(
        streamed,
        *((source.path, source.per_batch) for source in streamed.data.train),
        stream={"workers": 2, "buffer": 20},
    )
    assert all(map(same, take(streamed, 3), expected))


def test_an_epoch_shows_every_sample_once(streamed):
    one = with_sources(streamed, (streamed.data.train[0].path, 10))
    shown = torch.cat([batch.concepts for batch in take(one, 10)]).view(2, COUNT)
    for epoch in shown:
        assert len(epoch.unique()) == COUNT


def test_bad_samples_are_named_once_and_never_shown(streamed, tmp_path):
    folder = streamed.data.train[1].path
    (folder / "3.png").write_bytes(picture(103)[:50])
    (folder / "4.txt").write_bytes(b"\xff")
    config = with_sources(streamed, (folder, 10))
    bad = BadSamples(tmp_path / BAD_SAMPLES, tolerated=0.2)
    batches = feed(config, bad=bad).batches(0, {})
    shown = torch.cat([batch.concepts for batch in islice(batches, 20)])
    batches.close()
    assert len(shown) == 200
    assert len(shown.unique()) == 18
    assert {concept_number(caption(103)), concept_number(caption(104))}.isdisjoint(shown.tolist())
    report = [json.loads(line) for line in (tmp_path / BAD_SAMPLES).read_text().splitlines()]
    assert sorted(line["key"] for line in report) == ["3.png", "4.png"]
    assert bad.bad >= 20, "each time it is met counts"


def test_too_many_bad_samples_end_the_run(streamed):
    folder = streamed.data.train[1].path
    for number in range(0, 20, 2):
        (folder / f"{number}.png").write_bytes(b"no picture")
    batches = feed(with_sources(streamed, (folder, 10)), bad=BadSamples(tolerated=0.01)).batches(0, {})
    with pytest.raises(TooManyBad, match="not a picture"):
        list(islice(batches, 10))
    for number in range(20):
        (folder / f"{number}.png").unlink(missing_ok=True)
        (folder / f"{number}.png").write_bytes(b"")
    batches = feed(with_sources(streamed, (folder, 10)), bad=BadSamples(tolerated=1)).batches(0, {})
    with pytest.raises(DataError, match="17 samples on end"):
        next(batches)


def test_a_worker_process_tells_what_is_wrong_as_a_sentence_and_in_the_report(streamed, tmp_path):
    """As where the files of a table have moved: not one picture is there."""
    folder = streamed.data.train[1].path
    for number in range(20):
        (folder / f"{number}.png").write_bytes(b"")
    config = with_sources(streamed, (folder, 10), stream={"workers": 1, "buffer": 20})
    bad = BadSamples(tmp_path / BAD_SAMPLES, tolerated=1)
    with pytest.raises(DataError, match=r"^17 samples on end cannot be used\. The first: "):
        next(feed(config, bad=bad).batches(0, {}))
    assert (tmp_path / BAD_SAMPLES).read_text().count("\n") == 1
    assert (bad.bad, bad.tried) == (1, 1)


def test_several_captions_of_a_picture_differ_as_long_as_there_are(streamed):
    config = with_sources(streamed, (streamed.data.train[0].path, 8), captions_per_picture=2)
    batch = take(config, 1)[0]
    assert len(batch.ids) == 16
    assert batch.text_concepts.tolist() == batch.concepts.repeat_interleave(2).tolist()
    import numpy as np

    example = Example(picture=b"", label="a", captions=("b", "c"), tags=(), concept="a", style="")
    assert sorted(said(example, 3, np.random.default_rng(0))) == ["a", "b", "c"]
    assert sorted(set(said(example, 5, np.random.default_rng(0)))) == ["a", "b", "c"]


def test_the_same_caption_is_the_same_concept():
    assert concept_number("A dog") == concept_number("a dog") != concept_number("a cat")


def test_what_is_held_in_memory_and_what_is_streamed(config, streamed, monkeypatch):
    assert kind(streamed, open_sources(streamed.data)) == "stream"
    assert kind(config, open_sources(config.data)) == "memory"
    larger = config.model_copy(update={"data": config.data.model_copy(update={"cache_size": 8})})
    assert kind(larger, open_sources(larger.data)) == "stream", "the model sees more than is held"
    monkeypatch.setattr("training.data.kind.MOST_IN_MEMORY", 100)
    assert kind(config, open_sources(config.data)) == "stream"


def test_a_batch_that_cannot_be_shared_out_says_so(streamed):
    with pytest.raises(DataError, match="12 rows cannot be shared out among 5"):
        feed(streamed, 0, 5)


@settings(deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=4))
def test_any_run_of_rows_has_of_each_source_its_share(sizes):
    rows = _mixed(sizes)
    assert sorted(rows) == [(source, number) for source, size in enumerate(sizes) for number in range(size)]
    for stop in range(len(rows)):
        for source, size in enumerate(sizes):
            share = size * stop / len(rows)
            assert abs(sum(its == source for its, _ in rows[:stop]) - share) <= len(sizes)
