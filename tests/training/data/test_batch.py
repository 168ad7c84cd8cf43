"""A batch is shared out and put in another order without a text losing its picture."""

import pytest
import torch

from training.data.batch import Batch, BatchError


def batch() -> Batch:
    """Six pictures with three texts each; every number says whose it is."""
    owner = torch.arange(6)
    texts = owner.repeat_interleave(3)
    pixels = owner.byte()[:, None, None, None].expand(6, 3, 2, 2)
    return Batch(pixels, texts[:, None].expand(18, 4), torch.ones(18, 4, dtype=torch.bool), owner, texts)


def assert_whole(part: Batch, owners: list[int]) -> None:
    assert part.concepts.tolist() == owners
    assert part.pixels[:, 0, 0, 0].tolist() == owners
    assert part.text_concepts.tolist() == [owner for owner in owners for _ in range(3)]
    assert part.ids[:, 0].tolist() == part.text_concepts.tolist()
    assert len(part.mask) == len(part.ids)


def test_parts_have_the_texts_of_their_pictures():
    assert_whole(batch().part(0, 2), [0, 1, 2])
    assert_whole(batch().part(2, 3), [4, 5])
    assert_whole(batch().rows(4, 4), [4, 5])


def test_another_order_takes_the_texts_along():
    assert_whole(batch().reordered(torch.tensor([5, 0, 3, 1, 2, 4])), [5, 0, 3, 1, 2, 4])


def test_a_batch_is_shared_out_evenly_or_not_at_all():
    with pytest.raises(BatchError, match="6 pictures cannot be shared out evenly among 4"):
        batch().part(0, 4)
