"""Texts that are encoded with others of their length give the vectors that they give with any."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.clip import CLIP
from model.config import ModelConfig
from tests.training.loop.tiny import TEXT, VIT
from training.loop import by_length as module
from training.loop.by_length import by_length

TOWERS = {
    "bidirectional": TEXT,
    "causal": TEXT | {"attention": "causal"},
    "first EOT": TEXT | {"pooling": "first_eot", "eot_id": 1},
    "LSTM": {"kind": "lstm", "width": 16, "layers": 1, "vocab_size": 40, "context_length": 8},
}


@pytest.fixture(scope="module", params=TOWERS.values(), ids=TOWERS)
def encode_text(request):
    torch.manual_seed(0)
    parts = {"name": "tiny", "embedding_dim": 8, "vision": VIT, "text": request.param}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_ROWS", 3)
        yield CLIP(ModelConfig.model_validate(parts)).encode_text


def texts(lengths: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    mask = torch.arange(8) < torch.tensor(lengths)[:, None]
    ids = torch.randint(2, 40, mask.shape, generator=torch.Generator().manual_seed(0)) * mask
    ids[torch.arange(len(lengths)), torch.tensor(lengths) - 1] = 1
    return ids, mask


@settings(max_examples=20, deadline=None)
@given(lengths=st.lists(st.integers(1, 8), min_size=1, max_size=11))
def test_grouped_is_what_one_call_gives(encode_text, lengths):
    """In the order that the texts came in."""
    ids, mask = texts(lengths)
    torch.testing.assert_close(by_length(encode_text, ids, mask), encode_text(ids, mask), rtol=0, atol=1e-6)


def test_short_texts_are_not_padded_to_the_longest(monkeypatch):
    monkeypatch.setattr(module, "_ROWS", 4)
    seen = []

    def encode(ids, mask):
        seen.append(tuple(ids.shape))
        return mask.sum(dim=1, keepdim=True).float()

    ids, mask = texts([2, 2, 8, 2, 2])
    vectors = by_length(encode, ids, mask)
    assert vectors.flatten().tolist() == mask.sum(dim=1).tolist()
    assert seen == [(4, 2), (1, 8)]
