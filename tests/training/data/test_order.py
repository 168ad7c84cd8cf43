"""A stream shows every sample once an epoch, in an order that the seed decides, and goes on from any place in it."""

from collections.abc import Iterator
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.data_set import DataSet, Reference
from training.data.example import DataError
from training.data.order import HELD, Place, ordered


class Numbers(DataSet[Reference]):
    """Parts of so many samples each, without pictures; those named in `broken` end in an error."""

    def __init__(self, sizes, broken=(), resident=0):
        self.description = "numbers"
        self.sizes, self.broken, self._resident = sizes, broken, resident
        self.parts = [f"part {part}" for part in range(len(sizes))]
        self.listed = []

    def references(self, part) -> Iterator[Reference]:
        self.listed.append(part)
        for number in range(self.sizes[part]):
            yield Reference(part, f"{part}/{number}")
        if part in self.broken:
            raise DataError("it ends here")

    def words(self, reference):
        raise NotImplementedError

    def picture(self, reference):
        raise NotImplementedError

    def files(self):
        return iter(())

    def resident(self, part):
        return self._resident


SIZES = st.lists(st.integers(0, 9), min_size=1, max_size=12).filter(any)


def keys(stream, count):
    return [reference.key for reference, _ in islice(stream, count)]


@settings(deadline=None)
@given(sizes=SIZES, seed=st.integers(0, 99), buffer=st.integers(1, 60))
def test_an_epoch_is_a_permutation(sizes, seed, buffer):
    everything = sorted(f"{part}/{number}" for part, size in enumerate(sizes) for number in range(size))
    stream = ordered(Numbers(sizes), seed, buffer)
    for epoch in range(3):
        shown = list(islice(stream, len(everything)))
        assert sorted(reference.key for reference, _ in shown) == everything
        assert {place.epoch for _, place in shown} == {epoch}


@settings(deadline=None)
@given(sizes=SIZES, seed=st.integers(0, 99), buffer=st.integers(1, 60), done=st.integers(1, 120))
def test_a_stream_goes_on_from_any_place(sizes, seed, buffer, done):
    straight = ordered(Numbers(sizes), seed, buffer)
    *_, (_, place) = islice(straight, done)
    assert keys(ordered(Numbers(sizes), seed, buffer, Place(*place)), 50) == keys(straight, 50)


def test_seeds_and_epochs_differ_and_repeat():
    sizes = [10] * 10
    stream = ordered(Numbers(sizes), 1, 30)
    first, second = keys(stream, 100), keys(stream, 100)
    assert first != second
    assert first == keys(ordered(Numbers(sizes), 1, 30), 100)
    assert first != keys(ordered(Numbers(sizes), 2, 30), 100)


def test_no_more_is_listed_than_the_buffer_needs():
    """Tens of thousands of shards begin at once, and so does a stream that is taken up again in the midst of them."""
    data = Numbers([10] * 50_000)
    stream = ordered(data, 0, 35)
    next(stream)
    assert len(data.listed) == 4
    resumed = Numbers([10] * 50_000)
    next(ordered(resumed, 0, 35, Place(3, 20_000, 17)))
    assert len(resumed.listed) == 4


def test_parts_that_are_held_whole_make_small_windows():
    data = Numbers([10] * 20, resident=HELD // 2)
    next(ordered(data, 0, 1_000))
    assert len(data.listed) == 2


def test_samples_of_a_window_are_mixed():
    shown = keys(ordered(Numbers([100] * 10), 0, 1_000), 200)
    assert len({key.partition("/")[0] for key in shown[:50]}) == 10


def test_a_damaged_part_gives_what_it_has_and_is_named():
    told = []
    stream = ordered(Numbers([5, 5], broken=[1]), 0, 3, damaged=lambda part, error: told.append((part, str(error))))
    assert len(keys(stream, 10)) == 10
    assert told == [("part 1", "it ends here")]
    with pytest.raises(DataError, match="it ends here"):
        keys(ordered(Numbers([5, 5], broken=[1]), 0, 3), 10)


@pytest.mark.parametrize("sizes", [[], [0], [0, 0, 0]])
def test_a_stream_of_nothing_ends_in_an_error(sizes):
    with pytest.raises(DataError, match="holds no samples"):
        next(ordered(Numbers(sizes), 0, 10))
    if sizes:
        with pytest.raises(DataError, match="holds no samples"):
            next(ordered(Numbers(sizes), 0, 10, Place(4, 1, 0)))
