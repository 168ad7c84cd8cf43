"""The tokens of a text are those its model was trained on: other tokens find other pictures, and nothing says so."""

import gzip
import hashlib
import io
import json
import shutil
import sys
import unicodedata
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
from tokenizers import Tokenizer as HuggingFaceTokenizer
from tokenizers import models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer, GemmaTokenizer, Siglip2Tokenizer, SiglipTokenizer

import model.vocabulary
from model.cleaning import clip
from model.config import TokenizationConfig
from model.errors import VocabularyError
from model.tokenizer import Tokenizer
from model.vocabulary import CLIP_END, CLIP_START, clip_tokenizer_json, siglip_tokenizer_json
from tests.model.strings import strings

GOLDEN = Path(__file__).parent / "golden"
SHIPPED = "bpe_simple_vocab_16e6.txt.gz"
CLIP = TokenizationConfig(cleaning="clip")
BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
TINY = [*BYTES, *(f"{byte}</w>" for byte in BYTES), "re", "red</w>", "ap", CLIP_START, CLIP_END]
MERGES = ["r e", "re d</w>", "a p"]


@pytest.fixture(scope="module")
def clip_json():
    return clip_tokenizer_json(None)


def printable(texts: list[str]) -> list[str]:
    """Texts without halves of surrogates, which only CLIP's cleaning takes away."""
    return [text.encode("utf-8", "replace").decode() for text in texts]


# CLIP


def test_ids_of_ten_thousand_texts_are_those_of_open_clip_and_openai(clip_json):
    texts, golden = strings(), np.load(GOLDEN / "clip_tokens.npz")
    made = hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).digest()
    assert made == golden["texts"].tobytes(), "these are not the texts of which the ids are known"
    ids, mask = Tokenizer.from_bytes(clip_json, 77, CLIP).encode(texts)
    expected = np.split(golden["ids"].astype(np.int64), np.cumsum(golden["lengths"])[:-1])
    different = [
        text
        for text, row, real, known in zip(texts, ids, mask, expected, strict=True)
        if row[real].tolist() != known.tolist()
    ]
    assert different == []
    assert len(texts) == len(expected) == 10_000


def test_a_special_token_in_a_text_is_that_token_as_in_openai(clip_json):
    ids, _ = Tokenizer.from_bytes(clip_json, 77, CLIP).encode(["<|EndOfText|> x", "<end_of_text>"])
    assert ids[0].tolist()[:3] == [49406, 49407, 343]
    assert ids[1].tolist().count(49407) == 1, "open_clip's names of them are plain text, as they are for OpenAI"


def test_every_source_gives_the_same_file(tmp_path, clip_json):
    shipped = Path(distribution("open-clip-torch").locate_file(f"open_clip/{SHIPPED}"))
    parts = json.loads(clip_json)["model"]
    for name in ("json", "pairs", "gz", "txt"):
        (tmp_path / name).mkdir()
    (tmp_path / "json" / "tokenizer.json").write_bytes(clip_json)
    (tmp_path / "pairs" / "vocab.json").write_text(json.dumps(parts["vocab"]))
    (tmp_path / "pairs" / "merges.txt").write_text("#version: 0.2\n" + "\n".join(map(" ".join, parts["merges"])))
    shutil.copy(shipped, tmp_path / "gz" / SHIPPED)
    (tmp_path / "txt" / SHIPPED.removesuffix(".gz")).write_bytes(gzip.decompress(shipped.read_bytes()))
    sources = sorted(tmp_path.iterdir())
    sources += [tmp_path / "json/tokenizer.json", tmp_path / "pairs/vocab.json", tmp_path / "gz" / SHIPPED]
    for source in sources:
        assert clip_tokenizer_json(source) == clip_json, source


def test_the_package_that_ships_the_vocabulary_is_not_run():
    clip_tokenizer_json(None)
    assert "open_clip" not in sys.modules, "it would need torchvision"


def test_a_missing_vocabulary_says_what_to_give(tmp_path, monkeypatch):
    with pytest.raises(VocabularyError, match=r"no tokenizer\.json"):
        clip_tokenizer_json(tmp_path)
    monkeypatch.setattr(model.vocabulary, "PACKAGES", ("not_installed_here",))
    with pytest.raises(VocabularyError, match="pip install"):
        clip_tokenizer_json(None)
    with pytest.raises(VocabularyError, match=r"spiece\.model"):
        siglip_tokenizer_json(tmp_path)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("tokenizer.json", b"{}"),
        ("tokenizer.json", b"not JSON"),
        ("tokenizer.json", b'{"model": {"vocab": {"a": 0}, "merges": []}}'),
        ("merges.txt", b"#version: 0.2\n"),  # and no vocab.json
        (SHIPPED, b"not gzip"),
        (SHIPPED, gzip.compress(b'"version\na b\n')),
    ],
)
def test_a_file_that_is_not_clips_vocabulary_is_named(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(VocabularyError, match=name):
        clip_tokenizer_json(tmp_path)


def test_ids_are_those_of_transformers_clip_tokenizer(tmp_path):
    """On cleaned texts, as transformers does not clean: neither ftfy nor HTML, but NFC instead."""
    vocabulary = {token: number for number, token in enumerate(TINY)}
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(MERGES))
    reference = CLIPTokenizer(vocab=vocabulary, merges=[tuple(merge.split()) for merge in MERGES])
    cleaned = {clip(text) for text in strings(2_000)}
    texts = sorted(text for text in cleaned if unicodedata.is_normalized("NFC", text) and not {"\u0345", "ſ"} & {*text})
    assert len(texts) > 1_500
    tokenization = TokenizationConfig(cleaning="clip", padding="context", pad_id=vocabulary[CLIP_END])
    ids, mask = Tokenizer.from_bytes(clip_tokenizer_json(tmp_path), 20, tokenization).encode(texts)
    known = reference(texts, padding="max_length", truncation=True, max_length=20)
    assert ids.tolist() == known["input_ids"]
    assert mask.astype(int).tolist() == known["attention_mask"]


# SigLIP


@pytest.fixture(scope="module")
def spiece(tmp_path_factory):
    """A folder with a SentencePiece model of the kind that the first SigLIP has."""
    folder, file = tmp_path_factory.mktemp("spiece"), io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(text for text in strings(3_000) if text and text.isprintable() and max(text) < "\u0530"),
        model_writer=file,
        vocab_size=1_000,
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
    )
    (folder / "spiece.model").write_bytes(file.getvalue())
    return folder


def test_ids_are_those_of_transformers_siglip_tokenizer(spiece):
    reference = SiglipTokenizer(str(spiece / "spiece.model"))
    # Where combining marks pile up, tokenizers' own form of SentencePiece's normalisation differs from it.
    texts = [text for text in printable(strings(2_000)) if not any(map(unicodedata.combining, text))]
    assert len(texts) > 1_500
    tokenization = TokenizationConfig(cleaning="canonical", padding="context", pad_id=1)
    ids, _ = Tokenizer.from_bytes(siglip_tokenizer_json(spiece), 16, tokenization).encode(texts)
    known = reference(texts, padding="max_length", truncation=True, max_length=16)["input_ids"]
    # "½½½" is ½ and ½½ or ½½ and ½: of two segmentations that are as likely, either may be found.
    different = [
        text
        for text, row, known_row in zip(texts, ids.tolist(), known, strict=True)
        if row != known_row and sorted(row) != sorted(known_row)
    ]
    assert different == []


@pytest.mark.parametrize("kind", [Siglip2Tokenizer, GemmaTokenizer])
def test_ids_are_those_of_transformers_siglip2_tokenizer(kind, tmp_path):
    trained = HuggingFaceTokenizer(models.BPE(byte_fallback=True))
    trained.normalizer = normalizers.Replace(" ", "▁")
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=1_500, special_tokens=special, show_progress=False)
    trained.train_from_iterator((text.lower() for text in strings(500) if text.isascii()), trainer)
    parts = json.loads(trained.to_str())["model"]
    reference = kind(vocab=parts["vocab"], merges=[tuple(merge) for merge in parts["merges"]])
    reference.save_pretrained(tmp_path)
    texts = [text.lower() for text in printable(strings(1_000))]
    tokenization = TokenizationConfig(cleaning="lower", padding="context", pad_id=0)
    ids, _ = Tokenizer.from_bytes(siglip_tokenizer_json(tmp_path), 16, tokenization).encode(texts)
    plain = reference(texts, add_special_tokens=False)["input_ids"]
    known = [[*row[:15], 1, *[0] * (15 - len(row))] for row in plain]  # what add_eos_token=True asks for
    assert ids.tolist() == known


def test_a_damaged_sentencepiece_model_is_named(spiece, tmp_path):
    whole = (spiece / "spiece.model").read_bytes()
    for data in (b"", b"\x07", b"\x0a\x05ab", whole[:-100], bytes(range(200))):
        (tmp_path / "spiece.model").write_bytes(data)
        with pytest.raises(VocabularyError, match=r"spiece\.model"):
            siglip_tokenizer_json(tmp_path)


def test_a_sentencepiece_model_of_another_kind_is_not_mistaken(tmp_path):
    file = io.BytesIO()
    texts = (text for text in strings(500) if text.isascii() and text.isprintable() and text)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=texts,
        model_writer=file,
        vocab_size=300,
        model_type="bpe",
        hard_vocab_limit=False,
        minloglevel=2,
    )
    (tmp_path / "spiece.model").write_bytes(file.getvalue())
    with pytest.raises(VocabularyError, match="unigram"):
        siglip_tokenizer_json(tmp_path)
