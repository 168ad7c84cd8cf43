"""A short query costs what it is long, and its vector is the same as if it had been padded."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.encoder import Encoder
from model.lengths import batches_by_length, padded
from model.torch_runtime import TorchRuntime
from tests.model.tiny import CONTEXT, TEXTS, TOWERS, WORDS, folder

MIXED = [f"{WORDS[number % 6]} {'x ' * (number % 9)}" for number in range(40)]


class Watched(TorchRuntime):
    """Remembers the shapes that it was given."""

    def __init__(self, made) -> None:
        super().__init__(made, threads=1)
        self.shapes = []

    def text_vectors(self, ids, mask):
        self.shapes.append(ids.shape)
        return super().text_vectors(ids, mask)


@pytest.mark.parametrize("text", TEXTS)
def test_texts_of_mixed_lengths_equal_each_text_padded_to_the_end(tmp_path, text):
    """Brute force: one text at a time, with all the padding that other implementations give it."""
    made = folder(tmp_path, TOWERS["vit"], TEXTS[text])
    runtime = Watched(made)
    slow = []
    for one in MIXED:
        ids, mask = made.tokenizer.encode([one])
        behind = ((0, 0), (0, CONTEXT - ids.shape[1]))
        slow.append(runtime.text_vectors(np.pad(ids, behind), np.pad(mask, behind))[0])
    np.testing.assert_allclose(Encoder(made, runtime, "torch").encode_texts(MIXED), np.stack(slow), atol=1e-5)


def test_a_causal_tower_computes_no_more_than_the_text(tmp_path):
    runtime = Watched(made := folder(tmp_path, TOWERS["vit"], TEXTS["clip"]))
    Encoder(made, runtime, "torch").encode_texts(["a", *MIXED])
    real = made.tokenizer.encode(["a", *MIXED])[1].sum()
    computed = sum(rows * length for rows, length in runtime.shapes)
    assert computed < real + 4 * (1 + len(MIXED))
    assert min(length for _, length in runtime.shapes) == 4


def test_a_tower_that_reads_its_padding_always_gets_all_of_it(tmp_path):
    """SigLIP: the same text without its padding has another vector."""
    runtime = Watched(made := folder(tmp_path, TOWERS["vit"], TEXTS["siglip"]))
    encoder = Encoder(made, runtime, "torch")
    whole = encoder.encode_texts(["a", *MIXED])
    assert {length for _, length in runtime.shapes} == {CONTEXT}
    ids, mask = made.tokenizer.encode(["a"])
    short = int(mask.sum()) + 1
    assert np.abs(runtime.text_vectors(ids[:, :short], mask[:, :short]) - whole[:1]).max() > 1e-3


@given(st.lists(st.integers(1, 12), min_size=1, max_size=50), st.integers(1, 5))
def test_every_row_is_in_one_batch_of_its_length(lengths, most):
    mask = np.arange(max(lengths)) < np.array(lengths)[:, None]
    _, mask = padded(np.where(mask, 5, 0), mask, 0, 12)
    rows = []
    for batch, length in batches_by_length(mask, most):
        assert len(batch) <= most
        assert all(length - 4 < lengths[row] <= length <= 12 for row in batch)
        rows += batch.tolist()
    assert sorted(rows) == list(range(len(lengths)))


@given(st.integers(1, 12), st.integers(0, 9))
def test_padding_stands_behind_and_is_no_token(length, pad_id):
    ids, mask = padded(np.full((2, length), 11), np.ones((2, length), dtype=bool), pad_id, 12)
    assert ids.shape == mask.shape == (2, min(12, (length + 3) // 4 * 4))
    assert (ids[:, :length] == 11).all()
    assert (ids[:, length:] == pad_id).all()
    assert mask.sum() == 2 * length
