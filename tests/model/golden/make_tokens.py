"""The recipe of `clip_tokens.npz`: what the two reference tokenizers of CLIP make of the texts of `strings.py`.

In an environment with `open_clip_torch`, OpenAI's `clip` (`clip-anytorch`), `torch`, `ftfy` and `regex`, of which only
the tokenizers are loaded, so torchvision may be missing:

    python tests/model/golden/make_tokens.py

The two have to agree on every text. Ids stand in one row after another, without the padding, `lengths` many each.
"""

import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent.parent))
from tests.model.strings import strings  # noqa: E402


def file_of(package: str, name: str) -> ModuleType:
    """One module of an installed package, without the package around it."""
    folder = importlib.util.find_spec(package).submodule_search_locations[0]
    spec = importlib.util.spec_from_file_location(f"{package}_{name}", Path(folder, f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    texts = strings()
    open_clip = file_of("open_clip", "tokenizer").SimpleTokenizer()
    openai = file_of("clip", "simple_tokenizer").SimpleTokenizer()
    start, end = openai.encoder["<|startoftext|>"], openai.encoder["<|endoftext|>"]
    rows = []
    for text, padded in zip(texts, open_clip(texts).numpy(), strict=True):
        tokens = [start, *openai.encode(text), end]  # and then what clip.tokenize does with truncate=True
        if len(tokens) > len(padded):
            tokens = [*tokens[: len(padded) - 1], end]
        assert tokens == padded[: len(tokens)].tolist(), text
        assert not padded[len(tokens) :].any(), text
        rows.append(tokens)
    np.savez_compressed(
        HERE / "clip_tokens.npz",
        ids=np.concatenate(rows).astype(np.uint16),
        lengths=np.array([len(row) for row in rows], dtype=np.uint8),
        texts=np.frombuffer(digest(texts), dtype=np.uint8),
    )


def digest(texts: list[str]) -> bytes:
    """SHA-256 of all texts, so that other texts are not taken for other tokens."""
    return hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).digest()


if __name__ == "__main__":
    main()
