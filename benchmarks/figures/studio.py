"""What the figures look into: the shipped model, the demo gallery, and the small models of `lessons`.

Each is read or trained when it is first asked for; what was trained is kept in a work folder, so that drawing again
costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import tokenizers
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from app.settings import SHIPPED_MODEL
from benchmarks.figures import lessons
from model.clip import CLIP
from model.folder import TOKENIZER, ModelFolder, read_folder
from model.joint import JointEncoder
from model.preprocess import preprocess
from model.seq2seq import Seq2Seq
from model.shards import read_shard
from model.torch_runtime import read_model

GALLERY = SHIPPED_MODEL.parents[2] / "app" / "demo" / "twemoji.tar"
HELD_OUT = 8
"""One picture of so many is not trained on; those are the ones that are shown."""

_Model = TypeVar("_Model", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class Named:
    """A picture of the gallery on white, with its name."""

    name: str
    image: Image.Image


class Studio:
    """Models and pictures; `work` keeps what was trained."""

    def __init__(self, work: Path) -> None:
        self.work = work

    @cached_property
    def folder(self) -> ModelFolder:
        """Of the shipped model."""
        return read_folder(SHIPPED_MODEL)

    @cached_property
    def clip(self) -> CLIP:
        """The shipped model."""
        return read_model(self.folder)

    @cached_property
    def gallery(self) -> list[Named]:
        """The demo gallery, in its order."""
        found = []
        for sample in read_shard(GALLERY):
            with Image.open(BytesIO(sample.picture)) as image:
                drawn = image.convert("RGBA")
            white = Image.new("RGBA", drawn.size, "white")
            found.append(Named(sample.caption, Image.alpha_composite(white, drawn).convert("RGB")))
        return found

    def named(self, *names: str) -> list[Named]:
        """Pictures of the gallery by their names."""
        by_name = {each.name: each for each in self.gallery}
        return [by_name[name] for name in names]

    def pixels(self, pictures: list[Named], side: int | None = None) -> Tensor:
        """What the shipped model's image tower reads (B, 3, S, S), or the same at another size."""
        config = self.folder.preprocess
        config = config if side is None else config.model_copy(update={"size": side})
        return torch.stack([torch.from_numpy(preprocess(each.image, config)) for each in pictures])

    def ids(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """What the shipped model's text tower reads: ids and mask (B, T)."""
        ids, mask = self.folder.tokenizer.encode(texts)
        return torch.from_numpy(ids), torch.from_numpy(mask)

    def pieces(self, text: str) -> list[str]:
        """The tokens of a text as people read them; a space before one is left out."""
        tokens = tokenizers.Tokenizer.from_file(str(self.folder.path / TOKENIZER))
        return [str(tokens.id_to_token(int(token))).replace("Ġ", "") for token in self.ids([text])[0][0]]

    @cached_property
    def image_tower(self) -> lessons.LockedText:
        """A ViT that learned the names of seven eighths of the gallery."""
        trained = [each for number, each in enumerate(self.gallery) if number % HELD_OUT]
        with torch.no_grad():
            texts = self.clip.encode_text(*self.ids([each.name for each in trained]))
        model = lessons.LockedText(texts.shape[1])
        return self._kept("vit", model, lambda: lessons.teach_names(model, self.pixels(trained, lessons.SIDE), texts))

    def unseen(self) -> list[Named]:
        """The pictures that the ViT has not been trained on."""
        return self.gallery[::HELD_OUT]

    @cached_property
    def reverser(self) -> Seq2Seq:
        """An encoder and a decoder that reverse digits."""
        model = lessons.reverser()
        return self._kept("reverser", model, lambda: lessons.teach_reversing(model))

    @cached_property
    def joint(self) -> JointEncoder:
        """A joint stream that knows which words match which picture."""
        model = lessons.joint()
        return self._kept("joint", model, lambda: lessons.teach_matching(model))

    def text_tower(self, kind: str) -> lessons.LockedImages:
        """A text tower of this kind that learned to find the gallery's pictures by their names."""
        trained = [each for number, each in enumerate(self.gallery) if number % HELD_OUT]
        with torch.no_grad():
            pictures = torch.cat(
                [self.clip.encode_image(self.pixels(trained[n : n + 128])) for n in range(0, len(trained), 128)]
            )
        texts = self.ids([each.name for each in trained])
        model = lessons.LockedImages(kind, self.folder.config.text.vocab_size, pictures.shape[1])
        return self._kept(kind, model, lambda: lessons.teach_texts(model, *texts, pictures))

    def _kept(self, name: str, model: _Model, teach: Callable[[], None]) -> _Model:
        """The model with what it learned, now or when it was last taught beside the same shipped model."""
        weights = self.work / self.folder.fingerprint[:12] / f"{name}.safetensors"
        if not weights.is_file():
            torch.manual_seed(0)
            teach()
            weights.parent.mkdir(parents=True, exist_ok=True)
            save_file(model.state_dict(), weights)
        model.load_state_dict(load_file(weights))
        return model.eval()
