"""Texts to token ids, by a Hugging Face `tokenizers` file (`tokenizer.json`)."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer as _Tokenizer
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

PAD, START, END = "<pad>", "<start>", "<end>"


class Tokenizer:
    """A vocabulary and its rules; `context_length` is the number of tokens kept of a text, the end token always one."""

    def __init__(self, tokenizer: _Tokenizer, context_length: int) -> None:
        self._tokenizer = tokenizer
        self._tokenizer.enable_truncation(context_length)
        self._tokenizer.encode_special_tokens = True  # "<end>" in a text is five characters, not the end of it
        self._tokenizer.enable_padding(pad_id=tokenizer.token_to_id(PAD), pad_token=PAD)

    @classmethod
    def from_bytes(cls, data: bytes, context_length: int) -> "Tokenizer":
        """From the content of a `tokenizer.json`."""
        return cls(_Tokenizer.from_buffer(data), context_length)

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
        """Texts → ids (n, T) and mask (n, T), True on real tokens; T is the longest text's length in tokens."""
        encodings = self._tokenizer.encode_batch_fast(list(texts))
        ids = np.array([encoding.ids for encoding in encodings], dtype=np.int64)
        mask = np.array([encoding.attention_mask for encoding in encodings], dtype=np.bool_)
        return ids, mask

    def to_bytes(self) -> bytes:
        """The content of a `tokenizer.json`."""
        return str(self._tokenizer.to_str(pretty=True)).encode()

    @staticmethod
    def read(path: Path, context_length: int) -> "Tokenizer":
        """From a `tokenizer.json`."""
        return Tokenizer.from_bytes(path.read_bytes(), context_length)
