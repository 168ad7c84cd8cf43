"""Every sample of a data set, whatever is wrong with some of them."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from training.data.bad import BadSample, BadSamples, TooManyBad
from training.data.data_set import DataSet
from training.data.example import DataError

T = TypeVar("T")


def every_sample(data: DataSet[Any], read: Callable[[Any], T], bad: BadSamples) -> Iterator[T]:
    """What `read` makes of each reference, in their order.

    `bad` is told where it raises BadSample, and of a part that cannot be listed to its end, of which the rest is left
    out. Raises DataError where nothing came before that, TooManyBad where too many are bad.
    """
    found = False
    for number, part in enumerate(data.parts):
        try:
            for reference in data.references(number):
                try:
                    sample = read(reference)
                except BadSample as error:
                    bad.add(error)
                    continue
                bad.good()
                found = True
                yield sample
        except TooManyBad:
            raise
        except DataError as error:
            if not found:
                raise
            bad.add(BadSample("the rest of it", part, str(error)))
