"""Any text becomes tokens, none is outside the vocabulary, and cutting keeps the end token."""

from hypothesis import given, settings
from hypothesis import strategies as st

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
