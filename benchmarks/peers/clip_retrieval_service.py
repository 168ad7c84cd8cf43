"""clip-retrieval's index and its back end, on a model that a file describes.

`clip_retrieval_service.py index EMBEDDINGS INDEX` builds the index as `clip-retrieval index` does;
`clip_retrieval_service.py back INDICES.json MODEL.json WEIGHTS PORT` serves it as `clip-retrieval back` does. What it
would download (aesthetic scores, a multilingual tower) is off. Metadata come from Parquet: its default, and faster here
than its HDF5.
"""

import sys
from pathlib import Path
from types import ModuleType

import torchvision_without_kernels  # noqa: F401  # first


def index(embeddings: str, folder: str) -> None:
    """Let it choose and build the index of these vectors."""
    from clip_retrieval.clip_index import clip_index

    clip_index(embeddings, folder)


def back(indices: str, description: str, weights: str, port: str) -> None:
    """Serve until the process is ended."""
    import open_clip
    from clip_retrieval.clip_back import clip_back

    open_clip.add_model_config(description)
    clip_back(
        indices_paths=indices,
        port=int(port),
        clip_model=f"open_clip:{Path(description).stem}/{weights}",
        use_jit=False,
        enable_mclip_option=False,
        provide_aesthetic_embeddings=False,
    )


if __name__ == "__main__":
    for name in ("sentence_transformers", "wandb"):
        # Its package imports them for making embeddings, which is not done here: without them it starts sooner.
        sys.modules[name] = ModuleType(name)
        sys.modules[name].SentenceTransformer = None  # type: ignore[attr-defined]
    command, *arguments = sys.argv[1:]
    {"index": index, "back": back}[command](*arguments)
