"""The model card of an imported model: where it came from, what was read, what was assumed."""

import hashlib
from pathlib import Path

from model.importing.found import Found


def model_card(found: Found, source: str) -> str:
    """Markdown, its first lines for machines."""
    name = Path(source).resolve().name if Path(source).exists() else source
    files = "\n".join(f"| {file.name} | {file.stat().st_size:,} | `{_sha256(file)}` |" for file in found.files)
    assumed = "\n".join(f"- {sentence}" for sentence in found.assumptions) or "- nothing"
    config, preprocess = found.config, found.preprocess
    return f"""---
library_name: parallax
source: {name}
source_kind: {found.kind}
---

# {config.name}

Imported by Parallax from {name} ({found.kind}). The weights are the checkpoint's own, bit for bit, under other names
and with attention projections cut apart; licence, training data and intended use are those that it came with.

| | |
|---|---|
| embedding | {config.embedding_dim} dimensions |
| activation | {_activations(found)}: {found.activation_from} |
| pictures | {preprocess.size} × {preprocess.size}, {preprocess.resize_mode}, {preprocess.resample} |
| texts | {config.text.context_length} tokens of {config.text.vocab_size:,}, cleaning "{config.tokenization.cleaning}" |

## What was read

| file | bytes | SHA-256 |
|---|---|---|
{files}

## What was assumed

{assumed}
"""


def _activations(found: Found) -> str:
    towers = (found.config.vision, found.config.text)
    return " and ".join(dict.fromkeys(str(getattr(tower, "activation", "relu")) for tower in towers))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
