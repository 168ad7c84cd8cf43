"""`python -m benchmarks.import_sizes`: seconds and peak memory of importing checkpoints of the sizes that people have.

The checkpoints are random and written in the forms in which each model was published; each is imported by a process of
its own, which tells the most memory that it ever held, the pages of the file among it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers

from benchmarks.machine import write_report
from model.config import ModelConfig, TextConfig, TokenizationConfig, ViTConfig
from model.importing.named import named
from model.importing.open_clip_config import OpenClipConfig
from model.layouts import huggingface, openai
from model.layouts.rule import Rule
from model.weights import Array, write_tensors

PACKAGES = ("numpy", "tokenizers", "torch")
LARGEST_RATIO, LONGEST_S = 2.5, 60.0
"""What an import may take: peak memory over the size of the weights' file, and seconds."""

_IMPORT = """
import re, sys
from pathlib import Path
from model.__main__ import main
status = main(sys.argv[1:])
kilobytes = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
print("peak", int(kilobytes[1]) * 1024)
sys.exit(status)
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """One import."""

    name: str
    form: str
    file_bytes: int
    seconds: float
    peak_bytes: int

    @property
    def ratio(self) -> float:
        """Peak memory over the size of the weights' file."""
        return self.peak_bytes / self.file_bytes

    @property
    def kept(self) -> bool:
        """Whether it took no more than it may."""
        return self.ratio <= LARGEST_RATIO and self.seconds <= LONGEST_S


@dataclass(frozen=True)
class Published:
    """A model, the form in which it was published, and what writes it in that form."""

    config: ModelConfig
    form: str
    write: Callable[[ModelConfig, Path], tuple[Path, Path, Sequence[str]]]
    """Into a folder; returns what to import, the file of the weights and further arguments."""


def tensors_of(rules: Sequence[Rule], dtype: type[np.floating[Any]] = np.float32) -> Iterator[tuple[str, Array]]:
    """Random tensors of these names and shapes; counters are 0."""
    noise = np.random.default_rng(0)
    for rule in rules:
        if rule.counter:
            yield rule.there, np.zeros((), dtype=np.int64)
        else:
            values = noise.standard_normal(rule.shape, dtype=np.float32) * np.float32(0.02)
            yield rule.there, np.asarray(values, dtype=dtype)


def as_huggingface(config: ModelConfig, folder: Path) -> tuple[Path, Path, Sequence[str]]:
    """A folder of transformers, its weights in safetensors."""
    vision, text = config.vision, config.text
    if not isinstance(vision, ViTConfig) or not isinstance(text, TextConfig):
        raise TypeError("only Transformers go there")

    def tower(config: ViTConfig | TextConfig) -> dict[str, Any]:
        return {
            "hidden_size": config.width,
            "intermediate_size": round(config.width * config.mlp_ratio),
            "num_hidden_layers": config.layers,
            "num_attention_heads": config.heads,
        }

    values = {
        "model_type": "siglip" if config.logit_bias else "clip",
        "projection_dim": config.embedding_dim,
        "vision_config": tower(vision) | {"image_size": vision.image_size, "patch_size": vision.patch_size},
        "text_config": tower(text) | {
            "vocab_size": text.vocab_size, "max_position_embeddings": text.context_length
        },
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(values), encoding="utf-8")
    if config.logit_bias:
        words = ["<pad>", "</s>", "<unk>", *(f"w{number}" for number in range(text.vocab_size - 3))]
        made = tokenizers.Tokenizer(tokenizers.models.Unigram([(word, -1.0) for word in words], unk_id=2))
        made.save(str(folder / "tokenizer.json"))
    weights = folder / "model.safetensors"
    write_tensors(weights, dict(tensors_of(huggingface.rules(config))))
    return folder, weights, ()


def as_open_clip_pickle(config: ModelConfig, folder: Path) -> tuple[Path, Path, Sequence[str]]:
    """A pickled state dict, alone."""
    import torch

    weights = folder / "open_clip_pytorch_model.bin"
    torch.save({name: torch.from_numpy(array) for name, array in tensors_of(openai.rules(config))}, weights)
    return weights, weights, ("--config", config.name, "--activation", "gelu")


def as_openai_archive(config: ModelConfig, folder: Path) -> tuple[Path, Path, Sequence[str]]:
    """A TorchScript archive in float16, with code that computes QuickGELU."""
    import torch

    class QuickGELU(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * torch.sigmoid(1.702 * x)

    made = QuickGELU()
    for name, array in tensors_of(openai.rules(config), np.float16):
        *modules, leaf = name.split(".")
        place: torch.nn.Module = made
        for module in modules:
            if not hasattr(place, module):
                place.add_module(module, torch.nn.Identity())
            place = place.get_submodule(module)
        place.register_buffer(leaf, torch.from_numpy(array))
    for size in sorted(openai.BUFFERS):
        made.register_buffer(size, torch.tensor(0))
    weights = folder / f"{config.name}.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, and what OpenAI published
        torch.jit.script(made).save(str(weights))
    return weights, weights, ()


def architecture(name: str) -> ModelConfig:
    """Of one of open_clip's names."""
    described = OpenClipConfig(named(name), name)
    tokenization = TokenizationConfig(padding="context" if described.siglip else "longest")
    return described.build(name, False, tokenization, described.vocab_size - 1, has_bias=described.siglip)


def published() -> Mapping[str, Published]:
    """The models of the promise."""
    forms = {
        "ViT-B-32": ("Hugging Face safetensors", as_huggingface),
        "ViT-B-16": ("open_clip pickle", as_open_clip_pickle),
        "ViT-L-14": ("OpenAI TorchScript, float16", as_openai_archive),
        "RN50": ("OpenAI TorchScript, float16", as_openai_archive),
        "ViT-B-16-SigLIP": ("Hugging Face safetensors", as_huggingface),
    }
    return {name: Published(architecture(name), form, write) for name, (form, write) in forms.items()}


def measure(model: Published) -> Measure:
    """Write the checkpoint, import it in another process, and take that one's time and memory."""
    with tempfile.TemporaryDirectory(prefix="import-sizes-") as path:
        there = Path(path, "there")
        there.mkdir()
        source, weights, arguments = model.write(model.config, there)
        command = [sys.executable, "-c", _IMPORT, "import", str(source), str(Path(path, "here")), *arguments]
        start = time.perf_counter()
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - start
        if answer.returncode:
            raise RuntimeError(f"{model.config.name} could not be imported: {answer.stderr}")
        return Measure(
            name=model.config.name,
            form=model.form,
            file_bytes=weights.stat().st_size,
            seconds=seconds,
            peak_bytes=int(answer.stdout.split()[-1]),
        )


def main(arguments: Sequence[str] | None = None, models: Mapping[str, Published] | None = None) -> int:
    """Measure each model; returns 1 if one took more than it may."""
    models = published() if models is None else models
    parser = argparse.ArgumentParser(prog="python -m benchmarks.import_sizes", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which of {', '.join(models)} (all)")
    parser.add_argument("--out", type=Path, help="write the results there as JSON")
    parsed = parser.parse_args(arguments)
    unknown = [name for name in parsed.names if name not in models]
    if unknown:
        parser.error(f"no model here is called {', '.join(unknown)}")
    measures = []
    print(f"{'':18} {'form':28} {'file':>10} {'seconds':>9} {'peak':>10} {'peak / file':>12}")
    for name in parsed.names or models:
        taken = measure(models[name])
        measures.append(taken)
        print(
            f"{name:18} {taken.form:28} {taken.file_bytes / 1e6:7,.0f} MB {taken.seconds:9.1f} "
            f"{taken.peak_bytes / 1e6:7,.0f} MB {taken.ratio:12.2f}{'' if taken.kept else '  too much'}",
            flush=True,
        )
    if parsed.out:
        report = {
            "limits": {"ratio": LARGEST_RATIO, "seconds": LONGEST_S},
            "measures": [asdict(taken) | {"ratio": taken.ratio, "kept": taken.kept} for taken in measures],
        }
        write_report(parsed.out, PACKAGES, report)
    return 0 if all(taken.kept for taken in measures) else 1


if __name__ == "__main__":
    sys.exit(main())
