"""SentencePiece's `spiece.model` (Kudo and Richardson 2018) as a `tokenizers` tokenizer, without its library.

The file is one Protocol Buffers message, `ModelProto` of sentencepiece_model.proto, of which a few fields matter here.
"""

from collections.abc import Iterator
from struct import unpack

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

SPACE = "▁"
"""U+2581, which stands for a space in pieces."""

_UNIGRAM = 1
_UNKNOWN = 2


def read_spiece(data: bytes) -> Tokenizer:
    """The content of a `spiece.model` of the unigram kind → tokenizer without special tokens around a text.

    Raises ValueError on anything else.
    """
    pieces: list[tuple[str, float]] = []
    unknown = None
    trainer: dict[int, int | bytes] = {}
    normalizer: dict[int, int | bytes] = {}
    for field, value in _fields(data):
        match field, value:
            case 1, bytes():
                piece = dict(_fields(value))
                if piece.get(3) == _UNKNOWN:
                    unknown = len(pieces)
                pieces.append((_bytes(piece[1]).decode(), unpack("<f", _bytes(piece.get(2, bytes(4))))[0]))
            case 2, bytes():
                trainer = dict(_fields(value))
            case 3, bytes():
                normalizer = dict(_fields(value))
    if not pieces or unknown is None:
        raise ValueError("no pieces, or none for what is unknown")
    if trainer.get(3, _UNIGRAM) != _UNIGRAM:
        raise ValueError("it is not of the unigram kind; give tokenizer.json instead")
    tokenizer = Tokenizer(models.Unigram(pieces, unknown, byte_fallback=bool(trainer.get(35, 0))))
    charsmap = _bytes(normalizer.get(2, b""))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(SPACE, " "),
            *([normalizers.Precompiled(charsmap)] if charsmap else []),
            normalizers.Replace(Regex(" {2,}"), " "),
            normalizers.Strip(),
        ]
    )
    prepend = "always" if normalizer.get(3, 1) else "never"
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(SPACE, prepend)
    return tokenizer


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(number, value) of each field of a message in the wire format of Protocol Buffers.

    Integers come as int, all else as its bytes.
    """
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        match tag & 7:
            case 0:
                value, place = _varint(message, place)
                yield tag >> 3, value
                continue
            case 1:
                size = 8
            case 2:
                size, place = _varint(message, place)
            case 5:
                size = 4
            case kind:
                raise ValueError(f"a field of unknown kind {kind}")
        if place + size > len(message):
            raise ValueError("it is cut off")
        yield tag >> 3, message[place : place + size]
        place += size


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """(value, place behind it) of an integer that is written seven bits a byte, the lowest first."""
    value = shift = 0
    while place < len(message):
        byte = message[place]
        value |= (byte & 127) << shift
        shift += 7
        place += 1
        if byte < 128:
            return value, place
    raise ValueError("it is cut off")


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number where bytes should be")
    return value
