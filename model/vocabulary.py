"""`tokenizer.json` for the tokenizers of CLIP and SigLIP, from whichever files a checkpoint came with."""

import gzip
import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers, processors

from model.errors import VocabularyError
from model.spiece import read_spiece

CLIP_START, CLIP_END = "<|startoftext|>", "<|endoftext|>"
PACKAGES = ("open_clip", "clip")
"""Packages that ship CLIP's vocabulary, by the name under which they are imported."""

SIGLIP_ENDS = ("</s>", "<eos>")
_BPE_FILES = ("bpe_simple_vocab_16e6.txt.gz", "bpe_simple_vocab_16e6.txt")
_CLIP_SIZE = 49_408
_CLIP_MERGES = _CLIP_SIZE - 2 * 256 - 2  # every byte is a token, inside a word and at its end; two tokens are special
# Contractions, letters, one digit, anything else. OpenAI's pattern ignores case, which says two things of lower-cased
# texts: the long s is an s, and the iota below a Greek letter, U+0345, whose upper case is a letter, is nothing at all.
_CLIP_WORD = "'[sſ]|'t|'re|'ve|'m|'ll|'d|\\p{L}+|\\p{N}|[^\\s\\p{L}\\p{N}\u0345]+"


def clip_tokenizer_json(source: Path | None) -> bytes:
    """CLIP's byte-level BPE (Radford et al. 2021), for texts that were cleaned as "clip" says.

    `source` is a file or a folder with `tokenizer.json`, `vocab.json` and `merges.txt`, or OpenAI's
    `bpe_simple_vocab_16e6.txt.gz`; None takes the last from an installed package, without importing it. Whatever the
    source, the same vocabulary gives the same bytes. Raises VocabularyError, which says what to give.
    """
    file = _shipped_by_a_package() if source is None else _clip_file(source)
    try:
        if file.name in _BPE_FILES:
            vocabulary, merges = _from_bpe_file(file)
        elif file.suffix == ".json" and file.name != "vocab.json":
            model = json.loads(file.read_bytes())["model"]
            vocabulary, merges = model["vocab"], [_pair(merge) for merge in model["merges"]]
        else:
            vocabulary = json.loads(file.with_name("vocab.json").read_bytes())
            lines = file.with_name("merges.txt").read_text(encoding="utf-8").splitlines()
            merges = [_pair(line) for line in lines if line and not line.startswith("#version")]
        tokenizer = _clip_tokenizer(vocabulary, merges)
    except Exception as error:  # tokenizers raises plain Exception
        raise VocabularyError(f"{file} does not hold CLIP's vocabulary: {error!r}.") from error
    return _to_bytes(tokenizer, CLIP_START, CLIP_END)


def siglip_tokenizer_json(source: Path) -> bytes:
    """SigLIP's tokenizer (Zhai et al. 2023): a `tokenizer.json`, or a `spiece.model` converted.

    `source` is the file, or a folder with one of them.

    The end token stands behind every text and nothing before it, whatever the files say: so the models were trained.
    Raises VocabularyError, which says what is missing.
    """
    files = [source] if source.is_file() else [source / name for name in ("tokenizer.json", "spiece.model")]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        raise VocabularyError(f"{source} has neither tokenizer.json nor spiece.model; copy one of them there.")
    try:
        data = file.read_bytes()
        tokenizer = read_spiece(data) if file.suffix == ".model" else Tokenizer.from_buffer(data)
    except Exception as error:  # tokenizers raises plain Exception
        raise VocabularyError(f"{file} is not a tokenizer: {error!r}.") from error
    end = next((name for name in SIGLIP_ENDS if tokenizer.token_to_id(name) is not None), None)
    if end is None:
        raise VocabularyError(f"{file} has no end token; SigLIP's is one of {', '.join(SIGLIP_ENDS)}.")
    return _to_bytes(tokenizer, end)


def _shipped_by_a_package() -> Path:
    for package in PACKAGES:
        spec = find_spec(package)  # of a top-level package it imports nothing
        for folder in (spec and spec.submodule_search_locations) or ():
            if (file := Path(folder, _BPE_FILES[0])).is_file():
                return file
    raise VocabularyError(
        f"CLIP's vocabulary is missing: the checkpoint has none, and no installed package ships {_BPE_FILES[0]}. "
        "Put that file, tokenizer.json, or vocab.json and merges.txt beside the checkpoint, "
        "or run `pip install --no-deps open-clip-torch`."
    )


def _clip_file(source: Path) -> Path:
    """The file to read; for `vocab.json` and `merges.txt` either of them."""
    if source.is_file():
        return source
    for name in ("tokenizer.json", "merges.txt", *_BPE_FILES):
        if (source / name).is_file():
            return source / name
    raise VocabularyError(f"{source} has no tokenizer.json, no vocab.json with merges.txt, and no {_BPE_FILES[0]}.")


def _from_bpe_file(file: Path) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """OpenAI's file holds more merges than CLIP uses, and leaves the order of the single bytes to the reader."""
    data = file.read_bytes()
    text = (gzip.decompress(data) if file.suffix == ".gz" else data).decode()
    merges = [_pair(line) for line in text.split("\n")[1 : 1 + _CLIP_MERGES]]
    if len(merges) < _CLIP_MERGES:
        raise ValueError(f"{len(merges):,} merges, CLIP has {_CLIP_MERGES:,}")
    # GPT-2's names of the bytes (Radford et al. 2019): those that show keep theirs, and stand first.
    named = sorted(pre_tokenizers.ByteLevel.alphabet(), key=ord)
    words = [*named, *(f"{byte}</w>" for byte in named), *map("".join, merges), CLIP_START, CLIP_END]
    return {word: number for number, word in enumerate(words)}, merges


def _pair(merge: str | Sequence[str]) -> tuple[str, str]:
    left, right = merge.split() if isinstance(merge, str) else merge
    return left, right


def _clip_tokenizer(vocabulary: Mapping[str, int], merges: Sequence[tuple[str, str]]) -> Tokenizer:
    missing = [token for token in (CLIP_START, CLIP_END) if token not in vocabulary]
    if missing or not any(token.endswith("</w>") for token in vocabulary):
        raise ValueError(f"it lacks {' and '.join(missing) or 'tokens that end a word, with </w>'}")
    tokenizer = Tokenizer(
        models.BPE(
            dict(vocabulary),
            list(merges),
            unk_token=CLIP_END,
            end_of_word_suffix="</w>",
            continuing_subword_prefix="",
        )
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_CLIP_WORD), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in (CLIP_START, CLIP_END)])
    return tokenizer


def _to_bytes(tokenizer: Tokenizer, *special: str) -> bytes:
    """The file of a tokenizer that puts the last special token behind a text, and the others before it."""
    *before, behind = special
    tokenizer.post_processor = processors.TemplateProcessing(
        single=[*before, "$A", behind], special_tokens=[(token, tokenizer.token_to_id(token)) for token in special]
    )
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return str(tokenizer.to_str(pretty=True)).encode()
