"""A tokenizer for other programs: with the cleaning that this house does before it, as far as a file can say it."""

import json
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import Regex, normalizers

from model.config import Cleaning
from model.durable import write_atomic
from model.errors import ExportError
from model.exporting.target import write_json
from model.folder import TOKENIZER, ModelFolder

_PUNCTUATION = r"[!-/:-@\[-`{-~]"
_UNREPAIRED = "wrong decodings and HTML escapes in texts are not repaired there: no tokenizer.json can say it"


def write_tokenizer(
    folder: ModelFolder, out: Path, swapped: tuple[int, int] | None = None, cleaned: bool = False
) -> list[str]:
    """Write `tokenizer.json` and `tokenizer_config.json`; returns what they cannot say, in sentences.

    The two ids `swapped` change places. Texts that come `cleaned` are not cleaned by the file.
    """
    content = folder.tokenizer.to_bytes()
    parsed = tokenizers.Tokenizer.from_buffer(_with_swapped(content, *swapped) if swapped else content)
    cleaning = "none" if cleaned else folder.config.tokenization.cleaning
    steps = _normalizers(cleaning)
    if steps:
        own = [parsed.normalizer] if parsed.normalizer is not None else []
        parsed.normalizer = normalizers.Sequence([*steps, *own])
    parsed.no_padding()
    parsed.no_truncation()
    write_atomic(out / TOKENIZER, str(parsed.to_str(pretty=True)).encode())
    ids = parsed.encode("").ids
    named = {
        "pad_token": parsed.id_to_token(folder.config.tokenization.pad_id),
        "bos_token": parsed.id_to_token(ids[0]) if len(ids) > 1 else None,
        "eos_token": parsed.id_to_token(ids[-1]) if ids else None,
    }
    write_json(
        out / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": folder.config.text.context_length,
            "padding_side": "right",
            "clean_up_tokenization_spaces": False,
            **{name: token for name, token in named.items() if token is not None},
        },
    )
    return [_UNREPAIRED] if cleaning in {"clip", "clip_canonical"} else []


def _normalizers(cleaning: Cleaning) -> list[normalizers.Normalizer]:
    """What `model.cleaning` does, without the repairs."""
    collapse = [normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    bare = [normalizers.Replace(Regex(_PUNCTUATION), ""), normalizers.Lowercase(), *collapse]
    match cleaning:
        case "none":
            return []
        case "lower":
            return [normalizers.Lowercase()]
        case "clip":
            return [normalizers.NFC(), *collapse, normalizers.Lowercase()]
        case "canonical":
            return bare
        case "clip_canonical":
            return [normalizers.NFC(), normalizers.Replace("_", " "), *bare]


def _with_swapped(content: bytes, one: int, other: int) -> bytes:
    """A tokenizer.json in which two tokens have each other's id."""
    values: dict[str, Any] = json.loads(content)
    vocabulary = values["model"]["vocab"]
    if not isinstance(vocabulary, dict):
        raise ExportError("The ids of this kind of vocabulary are its order; its end token cannot have another one.")
    swap = {one: other, other: one}
    values["model"]["vocab"] = {token: swap.get(number, number) for token, number in vocabulary.items()}
    for token in values["added_tokens"]:
        token["id"] = swap.get(token["id"], token["id"])
    values["added_tokens"].sort(key=lambda token: int(token["id"]))
    for special in ((values["post_processor"] or {}).get("special_tokens") or {}).values():
        special["ids"] = [swap.get(number, number) for number in special["ids"]]
    return json.dumps(values).encode()
