"""Texts to token ids, by a Hugging Face `tokenizers` file (`tokenizer.json`)."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer as _Tokenizer
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from model.cleaning import CLEANINGS
from model.config import TokenizationConfig

PAD, START, END = "<pad>", "<start>", "<end>"
PLAIN = TokenizationConfig()
"""For tokenizers that do everything themselves, as those that are trained here."""


class Tokenizer:
    """A vocabulary and its rules, with the cleaning before it and the padding behind.

    `context_length` is the number of tokens kept of a text. What its post-processor puts around a text is part of that
    number and survives the cut: a text of any length keeps its end token.
    """

    def __init__(self, tokenizer: _Tokenizer, context_length: int, tokenization: TokenizationConfig = PLAIN) -> None:
        self._tokenizer = tokenizer
        self._clean = CLEANINGS[tokenization.cleaning]
        self._tokenizer.enable_truncation(context_length)
        self._tokenizer.enable_padding(
            pad_id=tokenization.pad_id,
            pad_token=tokenizer.id_to_token(tokenization.pad_id) or "",
            length=context_length if tokenization.padding == "context" else None,
        )
        # "<end>" in a text is five characters, not the end of it. Models from elsewhere, whose texts are cleaned, were
        # trained by tokenizers that took the names of their special tokens for the tokens, wherever they stand.
        self._tokenizer.encode_special_tokens = tokenization.cleaning == "none"

    @classmethod
    def from_bytes(cls, data: bytes, context_length: int, tokenization: TokenizationConfig = PLAIN) -> "Tokenizer":
        """From the content of a `tokenizer.json`."""
        return cls(_Tokenizer.from_buffer(data), context_length, tokenization)

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int, context_length: int) -> "Tokenizer":
        """Byte-level BPE (Sennrich et al. 2016) over lower-cased NFKC text: no text is outside its vocabulary."""
        tokenizer = _Tokenizer(models.BPE())
        tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase(), normalizers.Strip()])
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=[PAD, START, END],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, trainer)
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{START} $A {END}", special_tokens=[(token, tokenizer.token_to_id(token)) for token in (START, END)]
        )
        return cls(tokenizer, context_length)

    @property
    def vocab_size(self) -> int:
        """Number of tokens, the special ones included."""
        return int(self._tokenizer.get_vocab_size())

    def encode(self, texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Texts → ids (n, T) and mask (n, T), True on real tokens.

        T is the longest text's length in tokens, or `context_length` where the model wants the padding always the same.
        """
        encodings = self._tokenizer.encode_batch_fast([self._clean(text) for text in texts])
        ids = np.array([encoding.ids for encoding in encodings], dtype=np.int64)
        mask = np.array([encoding.attention_mask for encoding in encodings], dtype=np.bool_)
        return ids, mask

    def to_bytes(self) -> bytes:
        """The content of a `tokenizer.json`."""
        return str(self._tokenizer.to_str(pretty=True)).encode()

    @classmethod
    def read(cls, path: Path, context_length: int, tokenization: TokenizationConfig = PLAIN) -> "Tokenizer":
        """From a `tokenizer.json`."""
        return cls.from_bytes(path.read_bytes(), context_length, tokenization)
