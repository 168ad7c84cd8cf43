"""`hf-hub:NAME`: the files of a model on the Hugging Face Hub, as a folder."""

from collections.abc import Sequence
from pathlib import Path

from model.errors import ForeignCheckpointError
from model.importing import huggingface, open_clip

PREFIX = "hf-hub:"
_WORDS = ("*.json", "*.txt", "*.model")
"""Configs, tokenizers and indices: what says which weights to fetch."""


def fetch(name: str) -> Path:
    """Download a model's configs, tokenizer and weights, or take them from the cache; returns the folder.

    Of several formats of the weights, one is downloaded. Raises ForeignCheckpointError where the package is missing,
    the network fails, or there is no such model.
    """
    try:
        import huggingface_hub
    except ModuleNotFoundError as error:
        raise ForeignCheckpointError(
            f"{PREFIX}{name} needs the package huggingface_hub (pip install huggingface-hub); "
            "or download the model's files and give the folder."
        ) from error

    def download(patterns: Sequence[str]) -> Path:
        return Path(huggingface_hub.snapshot_download(name, allow_patterns=list(patterns)))

    try:
        folder = download(_WORDS)
        for pattern in _weights(folder):
            folder = download([pattern])
            if any(folder.glob(pattern)):
                break
    except Exception as error:  # of the network, of the service, of the name: each has its own class
        raise ForeignCheckpointError(f"{PREFIX}{name} cannot be downloaded: {error}") from error
    return folder


def _weights(folder: Path) -> Sequence[str]:
    """Patterns of the weights' files, the best first; safetensors before pickles."""
    if huggingface.is_folder(folder) or not (folder / open_clip.CONFIG).is_file():
        return ("model*.safetensors", "pytorch_model*.bin")
    return ("open_clip*.safetensors", "open_clip*.bin")
