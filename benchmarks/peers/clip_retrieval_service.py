"""clip-retrieval's index and its back end, on a model that it does not know by name.

`clip_retrieval_service.py index EMBEDDINGS INDEX` builds the index as `clip-retrieval index` does;
`clip_retrieval_service.py back INDICES.json PORT MODEL [TOWERS.json]` serves it as `clip-retrieval back` does. MODEL is
`parallax:FOLDER`, or `open_clip:NAME/WEIGHTS` with the file that describes the towers of that name. What it would
download (aesthetic scores, a multilingual tower) is off. Metadata come from Parquet: its default, and faster here than
its HDF5.
"""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torchvision_without_kernels  # noqa: F401  # first


def index(embeddings: str, folder: str) -> None:
    """Let it choose and build the index of these vectors."""
    from clip_retrieval.clip_index import clip_index

    clip_index(embeddings, folder)


def back(indices: str, port: str, model: str, description: str = "") -> None:
    """Serve until the process is ended."""
    from all_clip.main import _CLIP_REGISTRY
    from clip_retrieval.clip_back import clip_back

    if description:
        import open_clip

        open_clip.add_model_config(description)
    # before the empty prefix, which takes every name
    loaders = {"parallax:": load_parallax, **_CLIP_REGISTRY}
    _CLIP_REGISTRY.clear()
    _CLIP_REGISTRY.update(loaders)
    clip_back(
        indices_paths=indices,
        port=int(port),
        clip_model=model,
        use_jit=False,
        enable_mclip_option=False,
        provide_aesthetic_embeddings=False,
    )


def load_parallax(folder: str, *_: object) -> tuple[Any, Any, Any]:
    """(model, preprocess, tokenizer) of one of our folders: the modules of torch, in float32.

    Texts are padded to all that the model reads, as open_clip's tokenizers pad them.
    """
    import numpy as np
    import torch

    from model.folder import read_folder
    from model.preprocess import preprocess
    from model.torch_runtime import read_model

    described = read_folder(Path(folder))
    clip, length, pad = (
        read_model(described),
        described.config.text.context_length,
        described.config.tokenization.pad_id,
    )

    def tokenizer(texts: list[str]) -> Any:
        ids, mask = described.tokenizer.encode(texts)
        behind = ((0, 0), (0, length - ids.shape[1]))
        return torch.from_numpy(np.stack([np.pad(ids, behind, constant_values=pad), np.pad(mask.astype(int), behind)]))

    class Model:
        encode_image = staticmethod(clip.encode_image)

        @staticmethod
        def encode_text(text: Any) -> Any:
            return clip.encode_text(text[0], text[1].bool())

    return Model, lambda picture: torch.from_numpy(preprocess(picture, described.preprocess)), tokenizer


if __name__ == "__main__":
    for name in ("sentence_transformers", "wandb"):
        # Its package imports them for making embeddings, which is not done here: without them it starts sooner.
        sys.modules[name] = ModuleType(name)
        sys.modules[name].SentenceTransformer = None  # type: ignore[attr-defined]
    command, *arguments = sys.argv[1:]
    {"index": index, "back": back}[command](*arguments)
