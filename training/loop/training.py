"""A model in training: what one step does to it."""

import copy
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from model.clip import CLIP
from model.config import TextTransformerConfig
from model.vit import ViT
from training.config import TrainingConfig
from training.data.batch import Batch
from training.data.batches import normalise
from training.loop.average import update_average
from training.loop.by_length import by_length
from training.loop.gradient_cache import Tower, backward
from training.loop.locking import lock, training_mode
from training.loop.loss import contrastive_loss, sigmoid_loss, style_loss
from training.loop.optimizer import (
    clip_gradients,
    load_optimizer_state,
    optimizer_state,
    optimizers,
    set_learning_rate,
)
from training.loop.patch_dropout import drop_patches
from training.loop.ranks import Ranks
from training.loop.recompute import recompute_activations
from training.loop.running_statistics import RunningStatistics
from training.loop.schedule import learning_rate
from training.loop.sharding import is_shared, load_whole_state, shard, whole_state

MAX_LOGIT_SCALE = 100.0

Watch = Callable[[dict[str, float], Tensor, Tensor], None]
"""Told the losses of a step and its unit vectors before the weights change."""


class Training:
    """A model, the average of its weights and its optimisers.

    With several processes each has its part of every batch. A step then does what one process would do with all parts,
    each encoded as a chunk of its own.
    """

    def __init__(self, model: CLIP, config: TrainingConfig, device: torch.device, ranks: Ranks) -> None:
        self._config, self._device, self._ranks = config, device, ranks
        text = config.model.text
        self._reads_padding = isinstance(text, TextTransformerConfig) and text.reads_padding
        sharded = config.shard and ranks.count > 1
        self.model = model.to(device)
        if not sharded:  # a part of a kernel has no such order
            for module in self.model.modules():
                if isinstance(module, nn.Conv2d):
                    module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.model).requires_grad_(False).eval()
        lock(self.model, config.locked)
        if isinstance(self.model.image_tower, ViT) and config.patch_dropout:
            drop_patches(self.model.image_tower, config.patch_dropout)
        for tower in (self.model.image_tower, self.model.text_tower):
            if config.activation_checkpointing:
                recompute_activations(tower)
        if sharded:
            shard(self.model)
            shard(self.average)
        for tower in (self.model.image_tower, self.model.text_tower):
            if config.compile:
                tower.compile()
        self._statistics = [RunningStatistics(tower) for tower in (self.model.image_tower, self.model.text_tower)]
        self.optimizers: Sequence[torch.optim.Optimizer] = optimizers(self.model, config)

    def step(self, number: int, batch: Batch, watch: Watch) -> dict[str, float]:
        """Train on this process's part of the batch of step `number`, from 0; returns what is to be logged."""
        rate = learning_rate(number, self._config)
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
            set_learning_rate(optimizer, rate)
        training_mode(self.model, self._config.locked)
        losses = self._backward(number, batch, watch)
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None and not is_shared(p)]
        self._ranks.add_up(gradients)
        for statistics in self._statistics:
            statistics.average(self._ranks)
        norm = clip_gradients(self.model, self._config.optimizer.gradient_norm)
        for optimizer in self.optimizers:
            optimizer.step()
        if self._config.loss == "contrastive":
            with torch.no_grad():
                self.model.log_logit_scale.clamp_(max=math.log(MAX_LOGIT_SCALE))
        update_average(self.average, self.model, number, self._config.ema_decay)
        scale = self.model.log_logit_scale.exp().item()
        return {**losses, "gradient_norm": norm, "logit_scale": scale, "learning_rate": rate}

    def state(self) -> dict[str, Any]:
        """Weights, average and optimiser states, whole; every process has to ask at once."""
        return {
            "model": whole_state(self.model),
            "average": whole_state(self.average),
            "optimizers": optimizer_state(self.optimizers, self.model),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave, of however many processes."""
        load_whole_state(self.model, state["model"])
        load_whole_state(self.average, state["average"])
        load_optimizer_state(self.optimizers, self.model, state["optimizers"])

    def _backward(self, number: int, batch: Batch, watch: Watch) -> dict[str, float]:
        count = len(batch.pixels)
        size = min(self._config.chunk_size or count, count)
        starts = range(0, count, size)
        chunks = [batch.rows(start, size) for start in starts]
        # What is drawn at random in a tower, patch dropout, depends on step and place in the batch alone.
        seeds = [self._seed(number, self._ranks.index * count + start) for start in starts]
        towers = [
            Tower(partial(encode, chunks, seeds), statistics)
            for encode, statistics in zip((self._encode_images, self._encode_texts), self._statistics, strict=True)
        ]
        said: list[tuple[dict[str, Tensor], Tensor, Tensor]] = []

        def loss(images: Tensor, texts: Tensor) -> Tensor:
            parts = self._losses(batch, images, texts)
            said.append((parts, images, texts))
            return parts["loss"]

        backward(towers, len(chunks), loss)
        parts, images, texts = said[0]
        values = torch.stack([part.detach() for part in parts.values()])
        self._ranks.add_up([values])
        losses = dict(zip(parts, values.tolist(), strict=True))
        watch(losses, images.detach(), texts.detach())
        return losses

    def _losses(self, batch: Batch, images: Tensor, texts: Tensor) -> dict[str, Tensor]:
        """This process's share of "loss" and of each of its parts."""
        concepts, text_concepts = batch.concepts.to(self._device), batch.text_concepts.to(self._device)
        scale, ranks = self.model.log_logit_scale.exp(), self._ranks
        if self._config.loss == "sigmoid":
            assert self.model.logit_bias is not None
            pairs = sigmoid_loss(images, texts, concepts, text_concepts, scale, self.model.logit_bias, ranks)
        else:
            pairs = contrastive_loss(images, texts, concepts, text_concepts, scale, ranks)
        parts = {"loss": pairs, f"{self._config.loss}_loss": pairs}
        if self._config.style_weight:
            parts["style_loss"] = style_loss(images, concepts, ranks=ranks)
            parts["loss"] = pairs + self._config.style_weight * parts["style_loss"]
        return parts

    def _encode_images(self, chunks: Sequence[Batch], seeds: Sequence[int], number: int) -> Tensor:
        torch.manual_seed(seeds[number])
        pixels = chunks[number].pixels.to(self._device).float() / 255
        with self._autocast():
            return self.model.encode_image(normalise(pixels, self._config.model.preprocess)).float()

    def _encode_texts(self, chunks: Sequence[Batch], seeds: Sequence[int], number: int) -> Tensor:
        torch.manual_seed(seeds[number])
        ids, mask = chunks[number].ids.to(self._device), chunks[number].mask.to(self._device)
        with self._autocast():
            if self._reads_padding:
                return self.model.encode_text(ids, mask).float()
            return by_length(self.model.encode_text, ids, mask).float()

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self._device.type, torch.bfloat16, enabled=self._config.precision == "bfloat16")

    def _seed(self, step: int, row: int) -> int:
        return int(np.random.SeedSequence((self._config.seed, 2, step, row)).generate_state(1, np.uint64)[0] >> 1)
