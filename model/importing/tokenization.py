"""The tokenizer of a checkpoint, and what happens to a text around it."""

from pathlib import Path

import tokenizers

from model.config import Cleaning, TokenizationConfig
from model.errors import ForeignCheckpointError
from model.importing.settings import read_json
from model.tokenizer import Tokenizer
from model.vocabulary import CLIP_END, SIGLIP_ENDS, clip_tokenizer_json, siglip_tokenizer_json

TOKENIZER, TOKENIZER_CONFIG = "tokenizer.json", "tokenizer_config.json"
CLIP_FILES = (TOKENIZER, "vocab.json", "merges.txt", "bpe_simple_vocab_16e6.txt.gz", "bpe_simple_vocab_16e6.txt")
SIGLIP_FILES = (TOKENIZER, "spiece.model")
_SIGLIP_PADS = ("<pad>", "</s>")
"""What SigLIP pads with, where no file says: Gemma's token, else the end token of the first SigLIP."""

Read = tuple[Tokenizer, TokenizationConfig]


def clip_tokenizer(source: Path | None, context_length: int) -> Read:
    """CLIP's BPE, or the tokenizer that `source`, a folder or file, has in its place in a `tokenizer.json`.

    Where `source` has no vocabulary, CLIP's comes from an installed package.
    """
    files = _files(source, CLIP_FILES)
    own = _own(files, CLIP_END)
    if own is not None:
        return _plain(*own, context_length, "longest")
    tokenization = TokenizationConfig(cleaning="clip")
    parsed = _parsed(clip_tokenizer_json(source if files else None))
    return Tokenizer(parsed, context_length, tokenization), tokenization


def siglip_tokenizer(source: Path | None, context_length: int, cleaning: Cleaning | None = None) -> Read:
    """SigLIP's: padded to the full length, and cleaned as `cleaning` says, or else as the vocabulary is used to.

    The first SigLIP's SentencePiece model wants SigLIP's canonical form; Gemma's, of SigLIP 2, wants lower case.
    A `tokenizer.json` that is neither is taken as it is.
    """
    files = _files(source, SIGLIP_FILES)
    if not files:
        raise ForeignCheckpointError(
            "The vocabulary of a SigLIP stands in no package; give the folder of its tokenizer.json or spiece.model "
            "with --tokenizer."
        )
    own = _own(files, *SIGLIP_ENDS)
    if own is not None:
        return _plain(*own, context_length, "context")
    parsed = _parsed(siglip_tokenizer_json(files[0]))
    if cleaning is None:
        cleaning = "lower" if isinstance(parsed.model, tokenizers.models.BPE) else "canonical"
    pads = (parsed.token_to_id(token) for token in (_stated_pad(files[0].parent), *_SIGLIP_PADS) if token is not None)
    pad_id = next((pad for pad in pads if pad is not None), 0)
    tokenization = TokenizationConfig(cleaning=cleaning, padding="context", pad_id=pad_id)
    return Tokenizer(parsed, context_length, tokenization), tokenization


def end_id(tokenizer: Tokenizer) -> int:
    """The token that a text ends with, as an empty one shows."""
    ids, mask = tokenizer.encode([""])
    if not mask[0].any():
        raise ForeignCheckpointError("The tokenizer puts no token behind a text, but the model looks for one there.")
    return int(ids[0][mask[0]][-1])


def _files(source: Path | None, names: tuple[str, ...]) -> list[Path]:
    """Which of the files are there: the one that `source` is, or those in it."""
    if source is None:
        return []
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise ForeignCheckpointError(f"{source} is not there; --tokenizer takes a folder or a file.")
    return [source / name for name in names if (source / name).is_file()]


def _own(files: list[Path], *ends: str) -> tuple[tokenizers.Tokenizer, Path] | None:
    """A `tokenizer.json` whose vocabulary has none of the tokens with which the family ends its texts."""
    if not files or files[0].suffix != ".json" or files[0].name == "vocab.json":
        return None
    parsed = _parsed(files[0].read_bytes())
    return (parsed, files[0].parent) if all(parsed.token_to_id(end) is None for end in ends) else None


def _plain(parsed: tokenizers.Tokenizer, folder: Path, context_length: int, padding: str) -> Read:
    """A tokenizer that does everything itself."""
    stated = _stated_pad(folder)
    pad_id = parsed.token_to_id(stated) if stated is not None else (parsed.padding or {}).get("pad_id")
    tokenization = TokenizationConfig.model_validate({"padding": padding, "pad_id": pad_id or 0})
    return Tokenizer(parsed, context_length, tokenization), tokenization


def _stated_pad(folder: Path) -> str | None:
    """The padding token that `tokenizer_config.json` names."""
    if not (folder / TOKENIZER_CONFIG).is_file():
        return None
    stated = read_json(folder / TOKENIZER_CONFIG)
    if stated.get("padding_side", "right") != "right":
        raise ForeignCheckpointError(f"{folder / TOKENIZER_CONFIG} puts the padding before a text; here it is behind.")
    token = stated.get("pad_token")
    content = token.get("content") if isinstance(token, dict) else token
    return content if isinstance(content, str) else None


def _parsed(data: bytes) -> tokenizers.Tokenizer:
    try:
        return tokenizers.Tokenizer.from_buffer(data)
    except Exception as error:  # the library raises Exception itself
        raise ForeignCheckpointError(f"The checkpoint's tokenizer.json cannot be read: {error}") from error
