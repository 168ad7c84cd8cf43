"""The training loop: batches in, a checkpoint and a log out, resumable at any step."""

import copy
import json
import math
import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from model.clip import CLIP
from model.config import ModelConfig
from model.durable import write_atomic
from model.tokenizer import Tokenizer
from training.batches import Batch, Batches, Source, normalise
from training.captions import vocabulary_texts
from training.checkpoint import load_checkpoint, save_checkpoint
from training.config import SourceSection, TrainingConfig
from training.curves import draw_curves
from training.data import Example, decode_pictures, read_examples
from training.loss import contrastive_loss, style_loss
from training.metrics import first_ranks, summary
from training.optimizer import learning_rate, optimizers

LOG = "log.jsonl"
ENVIRONMENT = "environment.json"
CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
MAX_LOGIT_SCALE = 100.0


class Run:
    """One training run in a folder: `config.json`, `tokenizer.json`, `checkpoint.pt`, `log.jsonl`, `curves.png`."""

    def __init__(self, config: TrainingConfig, folder: Path) -> None:
        self.config, self.folder = config, folder
        torch.manual_seed(config.seed)
        torch.set_num_threads(config.threads or os.cpu_count() or 1)
        folder.mkdir(parents=True, exist_ok=True)
        sources = [self._source(source) for source in config.data.train]
        texts = [text for source in sources for text in vocabulary_texts(source.examples)]
        self.tokenizer = Tokenizer.train(texts, config.model.text.vocab_size, config.model.text.context_length)
        self.model = CLIP(model_config(config, self.tokenizer))
        for module in self.model.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.model).requires_grad_(False).eval()
        self.optimizers = optimizers(self.model, config)
        self.step = 0
        self.seconds = 0.0
        self.batches = Batches(sources, self.tokenizer, config.model.preprocess, config.data, config.seed)
        self._validation = read_examples(config.data.validation)
        sizes = {self.batches.size(0), config.model.preprocess.size}
        self._validation_drawings = {size: decode_pictures(self._validation, size) for size in sizes}

    def _source(self, section: SourceSection) -> Source:
        examples = read_examples(section.path)
        return Source(examples, decode_pictures(examples, self.config.data.cache_size), section.per_batch)

    def resume(self) -> None:
        """Go on from the folder's checkpoint."""
        state = load_checkpoint(self.folder)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        for optimizer, its_state in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(its_state)
        self.step, self.seconds = state["step"], state["seconds"]
        # Steps after the checkpoint are run again: their lines go.
        path = self.folder / LOG
        lines = [line for line in path.read_text("utf-8").splitlines() if json.loads(line)["step"] <= self.step]
        write_atomic(path, "".join(f"{line}\n" for line in lines).encode())

    def train(self) -> None:
        """Run the steps that are left."""
        self._write_records()
        config = self.config
        progress = tqdm(total=config.steps, initial=self.step, desc="training", unit="step", mininterval=1.0)
        with (self.folder / LOG).open("a", encoding="utf-8") as log:
            while self.step < config.steps:
                started = time.perf_counter()
                record = self._one_step(self.batches[self.step])
                self.step += 1
                seconds = time.perf_counter() - started
                self.seconds += seconds
                record |= {"step": self.step, "samples_per_second": config.data.batch_size / seconds}
                if self.step % config.validate_every == 0 or self.step == config.steps:
                    record |= {f"validation_{name}": value for name, value in self.validate().items()}
                log.write(json.dumps(record) + "\n")
                log.flush()
                progress.set_postfix(loss=f"{record['loss']:.3f}", samples=f"{record['samples_per_second']:.0f}/s")
                progress.update()
                if self.step % config.checkpoint_every == 0 or self.step == config.steps:
                    self._save()
        draw_curves(self.folder / LOG, self.folder / "curves.png")

    def _one_step(self, batch: Batch) -> dict[str, Any]:
        lr = learning_rate(self.step, self.config)
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
            for group in optimizer.param_groups:
                group["lr"] = lr
        loss, parts = self._loss(batch)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.optimizer.gradient_norm)
        for optimizer in self.optimizers:
            optimizer.step()
        with torch.no_grad():
            self.model.log_logit_scale.clamp_(max=math.log(MAX_LOGIT_SCALE))
        self._update_average()
        scale = self.model.log_logit_scale.exp().item()
        return {"loss": loss.item(), **parts, "gradient_norm": norm.item(), "logit_scale": scale, "learning_rate": lr}

    def _loss(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        self.model.train()
        with torch.autocast("cpu", torch.bfloat16):
            images = self.model.encode_image(batch.pixels)
            texts = self.model.encode_text(batch.ids, batch.mask)
        images, texts = images.float(), texts.float()
        loss = contrastive_loss(images, texts, batch.concepts, self.model.log_logit_scale.exp())
        parts = {"contrastive_loss": loss.item()}
        if self.config.style_weight:
            between_styles = style_loss(images, batch.concepts)
            parts["style_loss"] = between_styles.item()
            loss = loss + self.config.style_weight * between_styles
        return loss, parts

    @torch.no_grad()
    def _update_average(self) -> None:
        # Early on the plain average of all steps so far: a fixed decay would remember the random start for long.
        decay = min(self.config.ema_decay, self.step / (self.step + 10))
        live = self.model.state_dict()
        for name, mean in self.average.state_dict().items():
            if mean.is_floating_point():
                mean.lerp_(live[name], 1 - decay)
            else:
                mean.copy_(live[name])

    def validate(self) -> dict[str, float]:
        """Label → picture retrieval of the averaged weights on the validation shards, at the size of the last step.

        At another size than it was just trained at, a convolutional tower does far worse than it can.
        """
        drawings = self._validation_drawings[self.batches.size(self.step - 1)]
        return retrieval(self.average, self.tokenizer, self._validation, drawings, self.config)

    def _save(self) -> None:
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
            "seconds": self.seconds,
        }
        save_checkpoint(self.folder, state)

    def _write_records(self) -> None:
        write_atomic(self.folder / CONFIG, self.config.model_dump_json(indent=2).encode())
        write_atomic(self.folder / TOKENIZER, self.tokenizer.to_bytes())
        write_atomic(self.folder / ENVIRONMENT, json.dumps(environment(), indent=2).encode())


def model_config(config: TrainingConfig, tokenizer: Tokenizer) -> ModelConfig:
    """The architecture that a run trains; the vocabulary is as large as its captions allow."""
    text = config.model.text.model_dump() | {"vocab_size": tokenizer.vocab_size}
    if text["pooling"] == "first_eot":
        ids, mask = tokenizer.encode([""])
        text["eot_id"] = int(ids[0, mask.sum() - 1])  # the token that every text ends in
    model = config.model
    parts = {"name": model.name, "embedding_dim": model.embedding_dim, "vision": model.vision, "text": text}
    return ModelConfig.model_validate(parts)


@torch.no_grad()
def retrieval(
    model: CLIP, tokenizer: Tokenizer, examples: list[Example], drawings: Tensor, config: TrainingConfig
) -> dict[str, float]:
    """Label → picture recall on drawings over white, uint8 (n, 4, S, S): one query a concept."""
    labels = {example.concept: example.label for example in examples}
    ids, mask = tokenizer.encode(list(labels.values()))
    with torch.autocast("cpu", torch.bfloat16):
        texts = model.encode_text(torch.from_numpy(ids), torch.from_numpy(mask)).float()
        chunks = []
        for part in drawings.split(256):
            layers = part.float() / 255
            pictures = layers[:, :3] + (1 - layers[:, 3:])
            chunks.append(model.encode_image(normalise(pictures, config.model.preprocess)).float())
    concepts = [example.concept for example in examples]
    return summary(first_ranks(texts.numpy(), torch.cat(chunks).numpy(), list(labels), concepts))


def environment() -> dict[str, str]:
    """What a reader needs to know to repeat the run."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "machine": platform.machine(),
        "cores": str(os.cpu_count()),
        "commit": commit,
    }
