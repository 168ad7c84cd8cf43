"""One model serves all requests: rows that wait go through it together, and whoever fails fails alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from app.admission.claim import Claim
from app.errors import EncoderFault, TooLate
from app.inference.lane import Lane
from tests.app.dummy import ColourEncoder

ROW = ColourEncoder().preprocess(Image.new("RGB", (4, 4), "red"))


class Gated(ColourEncoder):
    """Holds its first batch until it is let go, and notes what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.busy, self.released = threading.Event(), threading.Event()
        self.batches: list[str] = []

    def _note(self, kind: str, batch: Sequence[object]) -> None:
        self.batches.append(f"{len(batch)} {kind}")
        self.busy.set()
        self.released.wait(timeout=60)

    def encode_pixels(self, batch: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        self._note("pictures", batch)
        return super().encode_pixels(batch)

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.batches.append(f"{len(texts)} texts")
        return self.encode_images([Image.new("RGB", (16, 16), self._colour(text)) for text in texts])

    def encode_images(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        return ColourEncoder.encode_pixels(self, [self.preprocess(image) for image in images])


@pytest.fixture
def gated() -> Iterator[tuple[Gated, Lane]]:
    encoder = Gated()
    lane = Lane(encoder, batch=8)
    yield encoder, lane
    encoder.released.set()
    lane.close()


def test_what_waits_is_encoded_together_and_searches_wait_for_one_batch_of_uploads(gated: tuple[Gated, Lane]) -> None:
    encoder, lane = gated
    futures = [lane.upload(ROW)]
    assert encoder.busy.wait(timeout=60)
    futures += [lane.upload(ROW) for _ in range(20)] + [lane.text("red") for _ in range(3)] + [lane.query(ROW)]
    encoder.released.set()
    vectors = [future.result(timeout=60) for future in futures]
    assert encoder.batches == ["1 pictures", "3 texts", "1 pictures", "8 pictures", "8 pictures", "4 pictures"]
    expected = ColourEncoder().encode_pixels([ROW])[0]
    np.testing.assert_allclose(vectors, [expected] * 25, atol=1e-6)


def test_a_full_queue_makes_its_callers_wait_and_no_others() -> None:
    encoder = Gated()
    lane = Lane(encoder, batch=2, room=2)
    lane.upload(ROW)
    assert encoder.busy.wait(timeout=60)
    lane.upload(ROW)
    lane.upload(ROW)
    third = threading.Thread(target=lane.upload, args=(ROW,))
    third.start()
    third.join(timeout=0.05)
    assert third.is_alive()
    text = lane.text("red")
    encoder.released.set()
    third.join(timeout=60)
    assert not third.is_alive()
    assert text.result(timeout=60).shape == (64,)
    lane.close()


def test_what_nobody_waits_for_any_more_is_dropped_and_takes_no_place_in_a_batch(gated: tuple[Gated, Lane]) -> None:
    encoder, lane = gated
    first = lane.upload(ROW)
    assert encoder.busy.wait(timeout=60)
    claim = Claim()
    with claim.in_force():
        dropped = [lane.upload(ROW) for _ in range(20)]
        text = lane.text("red")
    kept = [lane.upload(ROW) for _ in range(8)]
    claim.drop(TooLate("late"))
    assert not first.cancel()  # the model is at it
    encoder.released.set()
    for future in (first, *kept):
        assert future.result(timeout=60).shape == (64,)
    assert all(future.cancelled() for future in (*dropped, text))
    assert encoder.batches == ["1 pictures", "8 pictures"]


def test_a_model_that_is_stuck_is_noticed(gated: tuple[Gated, Lane]) -> None:
    encoder, lane = gated
    assert lane.seconds_at_batch() == 0
    future = lane.upload(ROW)
    assert encoder.busy.wait(timeout=60)
    assert 0 < lane.seconds_at_batch() <= lane.seconds_at_batch()
    encoder.released.set()
    future.result(timeout=60)


@pytest.mark.parametrize("fault", ["raises", "not a number", "wrong size"])
def test_an_input_that_the_model_cannot_take_fails_alone(fault: str) -> None:
    class Picky(ColourEncoder):
        def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
            if "bad" in texts and fault == "raises":
                raise RuntimeError("no")
            vectors = super().encode_texts(texts)
            if "bad" in texts:
                vectors[:] = np.nan
            return vectors[:, :3] if "bad" in texts and fault == "wrong size" else vectors

    lane = Lane(Picky())
    futures = {text: lane.text(text) for text in ("red", "bad", "blue")}
    with pytest.raises(EncoderFault):
        futures["bad"].result(timeout=60)
    for text in ("red", "blue"):
        assert np.isfinite(futures[text].result(timeout=60)).all()
    lane.close()


def test_closing_finishes_what_is_queued() -> None:
    lane = Lane(ColourEncoder())
    futures = [lane.upload(ROW) for _ in range(100)]
    lane.close()
    assert all(future.done() for future in futures)


def test_what_comes_after_the_end_is_cancelled_and_keeps_nobody_waiting() -> None:
    lane = Lane(ColourEncoder(), room=2)
    lane.close()
    assert all(lane.upload(ROW).cancelled() for _ in range(5))
