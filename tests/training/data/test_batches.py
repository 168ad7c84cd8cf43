"""A batch depends on seed and step alone, and holds what its concepts say."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model.tokenizer import Tokenizer
from tests.training.conftest import SAMPLE
from training.config import TrainingConfig
from training.data import augment as augmentation
from training.data import batches as sampling
from training.data.augment import augment
from training.data.batches import Batches, Source
from training.data.captions import caption, captions, phrases, vocabulary_texts
from training.data.drawings import decode_pictures, read_examples
from training.data.example import DataError, Example


def batches(config: TrainingConfig, seed: int = 0, **data: object) -> Batches:
    section = config.data.model_copy(update=data)
    examples = read_examples(SAMPLE / "train")
    drawings = decode_pictures(examples, 24)
    sources = [Source(examples, drawings, source.per_batch) for source in section.train]
    tokenizer = Tokenizer.train(vocabulary_texts(examples), 500, 16)
    return Batches(sources, tokenizer, config.model.preprocess, section, seed)


def same(a: object, b: object) -> bool:
    return all(torch.equal(getattr(a, part), getattr(b, part)) for part in ("pixels", "ids", "mask", "concepts"))


def test_a_batch_is_a_function_of_seed_and_step(config):
    one, again, other = batches(config), batches(config), batches(config, seed=1)
    assert same(one[5], again[5])
    assert not torch.equal(one[5].pixels, one[6].pixels)
    assert not torch.equal(one[5].pixels, other[5].pixels)


def test_a_batch_has_its_concepts_in_pairs_and_its_sources_in_their_shares(config):
    batch = batches(config)[4]
    assert batch.pixels.shape == (40, 3, 16, 16)
    assert len(batch.ids) == len(batch.mask) == 40
    for part in (batch.concepts[:32], batch.concepts[32:]):
        numbers, counts = part.unique(return_counts=True)
        assert (counts == 2).all(), "two pictures of each concept"
        assert len(numbers) == len(part) // 2


def test_early_steps_are_small(config):
    made = batches(config)
    assert made[2].pixels.shape[-1] == 12
    assert made[3].pixels.shape[-1] == 16


def test_an_epoch_shows_every_concept_once(config):
    section = config.data.train[0].model_copy(update={"per_batch": 20})
    made = batches(config, train=(section,))
    seen = torch.cat([made[step].concepts for step in range(5)]).unique()
    assert len(seen) == 50


def test_neighbours_by_name_meet_in_a_batch(config):
    """Far more often than the eighth of all pairs or so that chance would bring together in these batches."""
    made = batches(config)
    together = 0
    for step in range(20):
        numbers = set(made[step].concepts[:32].tolist())
        together += sum(number + 1 in numbers for number in numbers)
    assert together / (20 * 16) > 0.6


def test_too_large_a_batch_says_so(config):
    section = config.data.train[0].model_copy(update={"per_batch": 200})
    with pytest.raises(DataError, match="100 different concepts, of which this source has 50"):
        batches(config, train=(section,))


def test_a_folder_without_shards_says_what_to_do(tmp_path):
    with pytest.raises(DataError, match="python -m training prepare"):
        read_examples(tmp_path)


def test_augmentation_makes_pictures_and_repeats_itself():
    drawings = torch.zeros(6, 4, 24, 24, dtype=torch.uint8)
    drawings[:, 0, 6:18, 6:18] = 200  # premultiplied: red 200 of alpha 255
    drawings[:, 3, 6:18, 6:18] = 255
    draw = lambda seed: augment(drawings, 16, torch.Generator().manual_seed(seed))  # noqa: E731
    pictures = draw(0)
    assert pictures.shape == (6, 3, 16, 16)
    assert 0 <= pictures.min() <= pictures.max() <= 1
    assert torch.equal(pictures, draw(0))
    assert not torch.equal(pictures, draw(1))


def test_decoding_premultiplies_and_centres():
    examples = read_examples(SAMPLE / "train")[:20]
    drawings = decode_pictures(examples, 20)
    assert drawings.shape == (20, 4, 20, 20)
    assert (drawings[:, :3] <= drawings[:, 3:]).all(), "colour never exceeds alpha"
    assert (drawings[:, 3].flatten(1).amax(1) == 255).all(), "every picture shows something"


def test_flags_are_asked_for_in_many_ways():
    assert {"flag Japan", "flag of Japan", "Japan flag", "Japan"} <= set(phrases("flag: Japan"))
    assert phrases("red apple") == ["red apple"]


def test_captions_say_label_or_keywords():
    example = next(e for e in read_examples(SAMPLE / "train") if len(e.tags) > 2)
    rng = np.random.default_rng(0)
    captions = {caption(example, rng) for _ in range(200)}
    assert len(captions) > 20
    words = {*example.label.split(), *(word for tag in example.tags for word in tag.split())}
    assert all(words & set(said.split()) for said in captions)
    assert any(example.label in said for said in captions)
    assert any(example.label not in said for said in captions)


@given(st.lists(st.floats(0.05, 1), min_size=1, max_size=60), st.integers(0, 2**32 - 1))
def test_an_epoch_takes_as_many_concepts_as_their_shares_add_up_to(shares, seed):
    taken = sampling._systematic(np.array(shares), np.random.default_rng(seed))
    assert len(set(taken.tolist())) == len(taken)
    assert int(sum(shares) - 1e-6) <= len(taken) <= sum(shares) + 1


def test_a_concept_takes_part_in_its_share_of_epochs():
    shares = np.array([1 / 3, 2 / 3, 1, 0.5])
    rng = np.random.default_rng(0)
    counts = np.bincount(np.concatenate([sampling._systematic(shares, rng) for _ in range(3000)]), minlength=4)
    assert counts / 3000 == pytest.approx(shares, abs=0.03)


def test_the_share_of_a_concept_grows_with_the_root_of_its_drawings():
    groups = [np.zeros(n, dtype=np.int64) for n in (1, 4, 9, 20)]
    assert sampling._shares(groups, by_root=True) == pytest.approx([1 / 3, 2 / 3, 1, 1])
    assert (sampling._shares(groups, by_root=False) == 1).all()


def test_further_captions_come_in_every_language_that_there_is():
    example = Example(
        picture=b"",
        label="cat",
        tags=(),
        concept="1F408",
        style="noto",
        labels={"de": "Katze", "fr": "drapeau: Japon"},
        keywords={"de": ("Haustier",)},
    )
    rng = np.random.default_rng(0)
    drawn = [captions(example, 3, rng) for _ in range(200)]
    assert all(len(texts) == 3 and "cat" in texts[0] for texts in drawn), "the first is English"
    assert {text for texts in drawn for text in texts[1:]} >= {"Katze", "Haustier", "drapeau Japon", "cat"}
    assert {"Katze", "Haustier", "drapeau Japon"} <= set(vocabulary_texts([example]))


def test_captions_that_people_wrote_are_all_told_and_stay_as_they_are():
    said = {"a cat on a mat", "The cat sleeps.", "someone's pet"}
    first, *others = sorted(said)
    example = Example(picture=b"", label=first, tags=("pet",), concept="1", style="", captions=tuple(others))
    rng = np.random.default_rng(0)
    assert all(set(captions(example, 3, rng)) == said for _ in range(20))
    assert {text for _ in range(50) for text in captions(example, 1, rng)} == said
    assert said <= set(vocabulary_texts([example]))


def test_each_picture_has_its_captions_beside_it(config):
    batch = batches(config, captions_per_picture=3)[4]
    assert len(batch.ids) == 3 * len(batch.pixels)
    assert torch.equal(batch.text_concepts, batch.concepts.repeat_interleave(3))


def test_compression_without_rounding_would_change_nothing():
    cosines = augmentation._cosines()
    assert torch.allclose(cosines @ cosines.T, torch.eye(8), atol=1e-6)
    pictures = torch.rand(400, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    compressed = augmentation._compress(pictures, torch.Generator().manual_seed(2))
    error = (compressed - pictures).abs().amax(dim=(1, 2, 3))
    assert 0.5 < (error == 0).float().mean() < 0.9, "some pictures are compressed, most are not"
    assert error.max() < 1
    assert compressed.mean() == pytest.approx(pictures.mean().item(), abs=0.01)
