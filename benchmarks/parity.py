"""`python -m benchmarks.parity`: how far imported models of real size are from transformers, on random weights.

Eight pictures and eight texts go through both, in float32; the difference is the largest of all numbers of all vectors.
The weights are such that every part counts, gains and biases too.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
import torch
import transformers
from tokenizers import models, pre_tokenizers, processors
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.machine import write_report
from model.importing.checkpoint import Wishes, import_checkpoint
from model.torch_runtime import read_model

PACKAGES = ("torch", "transformers")
LARGEST_DIFFERENCE = 1e-5
COUNT = 8
WORDS_OF_TEXTS = (1, 2, 3, 5, 8, 20, 60, 200)
"""Up to more than any context holds."""

BASE = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """The largest absolute difference between the unit vectors of one model here and there, and between any two inputs
    the smallest distance, which says that the vectors are not all the same.
    """

    name: str
    parameters: int
    image_difference: float
    text_difference: float
    smallest_distance: float

    @property
    def kept(self) -> bool:
        """Whether both are the same but for rounding."""
        return max(self.image_difference, self.text_difference) <= LARGEST_DIFFERENCE


def clip(activation: str) -> nn.Module:
    """ViT-B/32."""
    vision = BASE | {"image_size": 224, "patch_size": 32, "hidden_act": activation}
    text = {
        "hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 12, "num_attention_heads": 8,
        "hidden_act": activation, **_tokens(49408, 77),
    }  # fmt: skip
    config = transformers.CLIPConfig(vision_config=vision, text_config=text, projection_dim=512)
    return transformers.CLIPModel(config)


def siglip() -> nn.Module:
    """SigLIP B/16."""
    vision, text = BASE | {"image_size": 224, "patch_size": 16}, BASE | _tokens(32000, 64) | {"projection_size": 768}
    return transformers.SiglipModel(transformers.SiglipConfig(vision_config=vision, text_config=text))


def siglip2() -> nn.Module:
    """SigLIP 2 B/16, with 16 × 16 patches."""
    vision, text = BASE | {"num_patches": 256, "patch_size": 16}, BASE | _tokens(256000, 64) | {"projection_size": 768}
    return transformers.Siglip2Model(transformers.Siglip2Config(vision_config=vision, text_config=text))


MODELS: Mapping[str, Callable[[], nn.Module]] = {
    "CLIP ViT-B/32, quick_gelu": lambda: clip("quick_gelu"),
    "CLIP ViT-B/32, gelu": lambda: clip("gelu"),
    "SigLIP B/16": siglip,
    "SigLIP 2 B/16": siglip2,
}


def _tokens(vocabulary: int, context: int) -> dict[str, int]:
    start, end = vocabulary - 2, vocabulary - 1
    return {
        "vocab_size": vocabulary,
        "max_position_embeddings": context,
        "bos_token_id": start,
        "eos_token_id": end,
        "pad_token_id": end,
    }


def randomise(model: nn.Module) -> None:
    """Weights in which every part counts, however wide; transformers starts many of them at zero or one."""
    for name, parameter in model.named_parameters():
        if name in {"logit_scale", "logit_bias"}:
            nn.init.uniform_(parameter, 4, 6)
        elif "embedding" in name and not name.endswith("bias"):
            fan_in = parameter[0].numel() if parameter.ndim == 4 else 1
            nn.init.normal_(parameter, std=2 * fan_in**-0.5)
        elif parameter.ndim > 1:
            nn.init.normal_(parameter, std=2 * parameter.shape[-1] ** -0.5)
        elif name.endswith("weight"):
            nn.init.uniform_(parameter, 0.5, 1.5)
        else:
            nn.init.normal_(parameter, std=0.3)


def write_tokenizer(path: Path, start: int) -> None:
    """Words to ids below `start`, which begins a text; the id after it ends one."""
    words = {f"w{number}": number for number in range(start)} | {"<start>": start, "<end>": start + 1}
    tokenizer = tokenizers.Tokenizer(models.WordLevel(words, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", start), ("<end>", start + 1)]
    )
    tokenizer.save(str(path / "tokenizer.json"))


def their_vectors(model: Any, pixels: Tensor, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Unit vectors of pictures and texts by transformers."""
    inputs: dict[str, Any] = {"input_ids": ids, "pixel_values": pixels}
    if isinstance(model, transformers.CLIPModel):
        inputs["attention_mask"] = mask.long()
    if isinstance(model, transformers.Siglip2Model):  # reads patches, each of them flattened, colours last
        vision: Any = model.config.vision_config
        side = vision.patch_size
        patches = pixels.unfold(2, side, side).unfold(3, side, side)  # (B, 3, rows, columns, side, side)
        count, _, rows, columns, *_ = patches.shape
        inputs["pixel_values"] = patches.permute(0, 2, 3, 4, 5, 1).reshape(count, rows * columns, -1)
        inputs["pixel_attention_mask"] = torch.ones(count, rows * columns, dtype=torch.int64)
        inputs["spatial_shapes"] = torch.tensor([[rows, columns]]).expand(count, 2)
    out = model(**inputs)
    return functional.normalize(out.image_embeds, dim=-1), functional.normalize(out.text_embeds, dim=-1)


@torch.inference_mode()
def measure(name: str, build: Callable[[], nn.Module]) -> Measure:
    """Save the model, import it, and compare."""
    torch.manual_seed(0)
    theirs: Any = build().eval()  # a PreTrainedModel, whose attributes differ
    randomise(theirs)
    start = theirs.config.text_config.bos_token_id
    with tempfile.TemporaryDirectory(prefix="parity-") as path:
        source = Path(path, "there")
        theirs.save_pretrained(source)
        write_tokenizer(source, start)
        folder, _ = import_checkpoint(str(source), Path(path, "here"), Wishes())
        ours = read_model(folder)
    noise = np.random.default_rng(0)
    texts = [" ".join(f"w{word}" for word in noise.integers(start, size=count)) for count in WORDS_OF_TEXTS]
    ids, mask = (torch.from_numpy(array) for array in folder.tokenizer.encode(texts))
    side = folder.config.vision.image_size
    pixels = torch.randn(COUNT, 3, side, side)
    expected = their_vectors(theirs, pixels, ids, mask)
    differences = [
        (mine - other).abs().max().item()
        for mine, other in zip((ours.encode_image(pixels), ours.encode_text(ids, mask)), expected, strict=True)
    ]
    return Measure(
        name=name,
        parameters=sum(parameter.numel() for parameter in theirs.parameters()),
        image_difference=differences[0],
        text_difference=differences[1],
        smallest_distance=min(torch.pdist(vectors).min().item() for vectors in expected),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure each model; returns 1 if one is further away than rounding explains."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parity", description=__doc__)
    parser.add_argument("--out", type=Path, help="write the results there as JSON")
    parsed = parser.parse_args(arguments)
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    measures = []
    print(f"{'':28} {'parameters':>12} {'pictures':>10} {'texts':>10} {'least distance':>15}")
    for name, build in MODELS.items():
        taken = measure(name, build)
        measures.append(taken)
        print(
            f"{name:28} {taken.parameters:12,} {taken.image_difference:10.1e} {taken.text_difference:10.1e} "
            f"{taken.smallest_distance:15.2f}{'' if taken.kept else '  too far'}",
            flush=True,
        )
    if parsed.out:
        rows = [asdict(taken) | {"kept": taken.kept} for taken in measures]
        write_report(parsed.out, PACKAGES, {"limit": LARGEST_DIFFERENCE, "measures": rows})
    return 0 if all(taken.kept for taken in measures) else 1


if __name__ == "__main__":
    sys.exit(main())
