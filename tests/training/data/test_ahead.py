"""What is made ahead is what would have been made, errors included, and ends when nobody wants it any more."""

import threading
from itertools import count, islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.ahead import ahead


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "ahead"]


@settings(deadline=None)
@given(st.lists(st.integers()), st.integers(1, 4))
def test_items_keep_their_order(items, depth):
    assert list(ahead(items, depth)) == items
    assert not threads()


def test_an_error_comes_in_its_place():
    def items():
        yield 1
        raise KeyError("two")

    made = ahead(items(), 3)
    assert next(made) == 1
    with pytest.raises(KeyError, match="two"):
        next(made)
    assert not threads()


def test_the_next_item_is_made_before_it_is_asked_for():
    second = threading.Event()

    def items():
        yield 1
        second.set()
        yield 2

    made = ahead(items())
    assert next(made) == 1
    assert second.wait(10)
    made.close()


def test_closing_ends_the_thread_and_what_it_reads():
    closed = []

    def items():
        try:
            yield from count()
        finally:
            closed.append(threading.current_thread().name)

    made = ahead(items())
    assert list(islice(made, 3)) == [0, 1, 2]
    made.close()
    assert closed == ["ahead"]
    assert not threads()
