"""Texts are cleaned, padded and ended as the model was trained (mteb #1424, big_vision #187: what it costs if not)."""

import json

import pytest
from tokenizers import Tokenizer

from model.errors import ForeignCheckpointError, VocabularyError
from model.importing.tokenization import clip_tokenizer, end_id, siglip_tokenizer
from tests.model import tiny
from tests.model.importing.checkpoints import (
    CLIP_TOKENS,
    CONTEXT,
    GEMMA_TOKENS,
    SIGLIP_TOKENS,
    write_clip_vocabulary,
    write_siglip_vocabulary,
)


def stated(path, **values):
    (path / "tokenizer_config.json").write_text(json.dumps(values))


def test_clips_own(tmp_path):
    write_clip_vocabulary(tmp_path)
    tokenizer, tokenization = clip_tokenizer(tmp_path, CONTEXT)
    assert tokenization.cleaning == "clip"
    assert tokenization.padding == "longest"
    assert end_id(tokenizer) == len(CLIP_TOKENS) - 1


@pytest.mark.parametrize("source", [None, "empty"])
def test_without_files_clips_comes_from_a_package(tmp_path, source):
    tokenizer, _ = clip_tokenizer(None if source is None else tmp_path, 77)
    assert (tokenizer.vocab_size, end_id(tokenizer)) == (49408, 49407)
    ids, _ = tokenizer.encode(["a diagram"])
    assert ids.tolist() == [[49406, 320, 22697, 49407]]


def test_a_tokenizer_that_is_not_clips_is_taken_as_it_is(tmp_path):
    (tmp_path / "tokenizer.json").write_bytes(tiny.tokenizer().to_bytes())
    tokenizer, tokenization = clip_tokenizer(tmp_path, CONTEXT)
    assert tokenization.cleaning == "none"
    assert end_id(tokenizer) == tiny.EOT
    stated(tmp_path, pad_token={"content": "<start>"})
    assert clip_tokenizer(tmp_path, CONTEXT)[1].pad_id == 1


def test_the_first_siglips_is_canonical_and_padded_with_its_end(tmp_path):
    write_siglip_vocabulary(tmp_path)
    stated(tmp_path, pad_token="</s>")
    tokenizer, tokenization = siglip_tokenizer(tmp_path, CONTEXT)
    end = SIGLIP_TOKENS.index("</s>")
    assert tokenization.model_dump() == {"cleaning": "canonical", "padding": "context", "pad_id": end}
    ids, _ = tokenizer.encode(["A.", "a"])
    assert ids[0].tolist() == ids[1].tolist()
    assert ids.shape == (2, CONTEXT)
    assert ids[0, -1] == end_id(tokenizer) == end


def test_gemmas_is_lower_case_and_padded_with_its_own(tmp_path):
    write_siglip_vocabulary(tmp_path, gemma=True)
    tokenizer, tokenization = siglip_tokenizer(tmp_path, CONTEXT)
    assert tokenization.model_dump() == {"cleaning": "lower", "padding": "context", "pad_id": 0}
    assert end_id(tokenizer) == GEMMA_TOKENS.index("<eos>")


def test_open_clip_cleans_siglips_texts_in_its_own_way(tmp_path):
    write_siglip_vocabulary(tmp_path)
    assert siglip_tokenizer(tmp_path, CONTEXT, "clip_canonical")[1].cleaning == "clip_canonical"


def test_a_siglip_without_files_says_what_to_give(tmp_path):
    for source in (None, tmp_path):
        with pytest.raises(ForeignCheckpointError, match="--tokenizer"):
            siglip_tokenizer(source, CONTEXT)


@pytest.mark.parametrize("read", [clip_tokenizer, siglip_tokenizer])
def test_a_file_is_the_one_that_is_read_whatever_its_name_and_its_neighbours(tmp_path, read):
    (write_clip_vocabulary if read is clip_tokenizer else write_siglip_vocabulary)(tmp_path / "made")
    expected, _ = read(tmp_path / "made", CONTEXT)
    (tmp_path / "theirs.json").write_bytes(expected.to_bytes())
    (tmp_path / "tokenizer.json").write_text("{}")
    tokenizer, _ = read(tmp_path / "theirs.json", CONTEXT)
    assert tokenizer.to_bytes() == expected.to_bytes()
    with pytest.raises(ForeignCheckpointError, match="nowhere is not there; --tokenizer takes a folder or a file"):
        read(tmp_path / "nowhere", CONTEXT)


def test_padding_before_a_text_is_refused(tmp_path):
    write_siglip_vocabulary(tmp_path)
    stated(tmp_path, padding_side="left")
    with pytest.raises(ForeignCheckpointError, match="before a text"):
        siglip_tokenizer(tmp_path, CONTEXT)


def test_a_tokenizer_without_an_end_is_refused(tmp_path):
    parsed = Tokenizer.from_str(tiny.tokenizer().to_bytes().decode())
    values = json.loads(parsed.to_str()) | {"post_processor": None}
    (tmp_path / "tokenizer.json").write_text(json.dumps(values))
    tokenizer, _ = clip_tokenizer(tmp_path, CONTEXT)
    with pytest.raises(ForeignCheckpointError, match="puts no token behind a text"):
        end_id(tokenizer)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff"])
def test_a_broken_file_is_refused(tmp_path, content):
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises((ForeignCheckpointError, VocabularyError), match=r"tokenizer\.json"):
        clip_tokenizer(tmp_path, CONTEXT)
