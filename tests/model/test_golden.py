"""Vectors are those that open_clip and OpenAI's own code compute from the same file, to five digits.

Vectors made by either can then be searched with ours. `golden/README.md` says where the data are from.
"""

import json
import string
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers

from model.clip import CLIP
from model.importing import open_clip_config
from model.importing.checkpoint import Wishes, read_checkpoint

GOLDEN = Path(__file__).parent / "golden"
NAMES = sorted(folder.name for folder in GOLDEN.iterdir() if folder.is_dir())
END = 53
LETTERS = string.ascii_lowercase


def write_vocabulary(folder: Path, name: str) -> None:
    """Of as many tokens as the models read, with the end token where they look for it."""
    if "siglip" in name:
        tokens = ["<pad>", "</s>", "<unk>", "▁", *LETTERS, *LETTERS.upper()[: END - 29]]
        made = Tokenizer(models.Unigram([(token, -1.0) for token in tokens], unk_id=2))
        made.pre_tokenizer = pre_tokenizers.Metaspace()
        made.save(str(folder / "tokenizer.json"))
    else:
        tokens = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), "<|startoftext|>", "<|endoftext|>"]
        vocabulary = {token: number for number, token in enumerate(tokens)}
        (folder / "vocab.json").write_text(json.dumps(vocabulary))
        (folder / "merges.txt").write_text("#version: 0.2\n")


@pytest.mark.parametrize("name", NAMES)
def test_embeddings_are_those_of_the_reference(name, tmp_path, monkeypatch):
    small = {"width": 32, "layers": 1, "heads": 2}
    monkeypatch.setattr(open_clip_config, "TIMM_SIZES", {"base": small, "so400m": small})
    write_vocabulary(tmp_path, name)
    source = GOLDEN / name if name.startswith("open_clip") else GOLDEN / name / "model.pt"
    found = read_checkpoint(str(source), Wishes(tokenizer=tmp_path))
    model = CLIP(found.config).eval()
    model.load_state_dict({key: torch.from_numpy(np.array(value)) for key, value in found.weights.items()})
    golden = np.load(GOLDEN / name / "golden.npz")
    ids = torch.from_numpy(golden["ids"])
    mask = torch.ones_like(ids, dtype=torch.bool)
    if "siglip" not in name:
        mask[:, 1:] = ((ids == END).cumsum(dim=1) == 0)[:, :-1]  # up to the first end token
    with torch.inference_mode():
        images = model.encode_image(torch.from_numpy(golden["pixels"]).float() / 32).numpy()
        texts = model.encode_text(ids, mask).numpy()
    np.testing.assert_allclose(images, golden["images"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(texts, golden["texts"], rtol=0, atol=1e-5)


def test_every_layout_is_there():
    kinds = {"vit", "vit-quickgelu", "resnet", "siglip", "siglip2"}
    assert {f"open_clip-{kind}" for kind in kinds} | {
        f"openai-{kind}" for kind in ("vit", "resnet", "vit-archive")
    } == {*NAMES}
