"""Any text becomes tokens, none is outside the vocabulary, and cutting keeps the end token."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.config import TokenizationConfig
from model.tokenizer import END, PAD, START, Tokenizer
from tests.model.tiny import tokenizer

TOKENIZER = tokenizer()
IDS = {token: TOKENIZER._tokenizer.token_to_id(token) for token in (PAD, START, END)}


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=80), min_size=1, max_size=4))
def test_any_texts_become_one_padded_batch(texts):
    ids, mask = TOKENIZER.encode(texts)
    assert ids.shape == mask.shape
    assert ids.shape[1] <= 12
    assert (ids >= 0).all()
    assert (ids < TOKENIZER.vocab_size).all()
    for row, real in zip(ids, mask, strict=True):
        length = int(real.sum())
        assert real[:length].all(), "padding comes after the text"
        assert row[0] == IDS[START]
        assert row[length - 1] == IDS[END]
        assert (row[length:] == IDS[PAD]).all()


def test_case_and_width_do_not_matter():
    assert TOKENIZER.encode(["Flag of JAPAN"])[0].tolist() == TOKENIZER.encode(["flag of japan"])[0].tolist()
    assert TOKENIZER.encode(["ｆｌａｇ"])[0].tolist() == TOKENIZER.encode(["flag"])[0].tolist()


def test_a_text_that_names_a_special_token_cannot_end_early():
    for said in (START, END, PAD):
        ids, mask = TOKENIZER.encode([f"a {said} b"])
        assert mask.all()
        assert [int((ids[0] == IDS[token]).sum()) for token in (START, END, PAD)] == [1, 1, 0]


def test_a_tokenizer_survives_its_file():
    again = Tokenizer.from_bytes(TOKENIZER.to_bytes(), 12)
    texts = ["a red apple", "ラーメン", ""]
    assert again.encode(texts)[0].tolist() == TOKENIZER.encode(texts)[0].tolist()
    assert again.to_bytes() == TOKENIZER.to_bytes()


@pytest.mark.parametrize("pad_id", [0, 7, 299])
def test_padding_is_as_long_and_as_said(pad_id):
    data, texts = TOKENIZER.to_bytes(), ["rocket", "a red apple " * 9]
    plain, _ = TOKENIZER.encode(texts[:1])
    length = plain.shape[1]
    fixed = Tokenizer.from_bytes(data, 12, TokenizationConfig(padding="context", pad_id=pad_id))
    ids, mask = fixed.encode(texts[:1])
    assert ids.shape == (1, 12), "a model that reads its padding has to get as much as in training"
    assert ids[0, :length].tolist() == plain[0].tolist()
    assert (ids[0, length:] == pad_id).all()
    assert mask[0].tolist() == [True] * length + [False] * (12 - length)
    longest = Tokenizer.from_bytes(data, 12, TokenizationConfig(padding="longest", pad_id=pad_id))
    assert longest.encode(texts[:1])[0].shape == (1, length)
    for tokens, real in (fixed.encode(texts), longest.encode(texts)):
        assert tokens.shape == (2, 12)
        assert real[1].all()
        assert tokens[1, 11] == IDS[END]


def test_texts_are_cleaned_before():
    data = TOKENIZER.to_bytes()
    for cleaning, said, meant in (
        ("lower", "ROCKET", "rocket"),
        ("clip", "caf\u00c3\u00a9 &amp;amp; bar", "café & bar"),
        ("canonical", "A red-apple!", "a redapple"),
        ("clip_canonical", "red_apple &amp; pear", "red apple pear"),
    ):
        cleaned = Tokenizer.from_bytes(data, 12, TokenizationConfig.model_validate({"cleaning": cleaning}))
        assert cleaned.encode([said])[0].tolist() == TOKENIZER.encode([meant])[0].tolist()


def test_what_a_file_says_of_padding_and_length_does_not_count():
    """transformers stores there what was asked for last."""
    other = Tokenizer.from_bytes(TOKENIZER.to_bytes(), 5, TokenizationConfig(padding="context", pad_id=9))
    again = Tokenizer.from_bytes(other.to_bytes(), 12)
    texts = ["a red apple", "rocket"]
    assert again.encode(texts)[0].tolist() == TOKENIZER.encode(texts)[0].tolist()
