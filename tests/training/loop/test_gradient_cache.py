"""Chunks change the memory of a step and nothing else."""

import json
import subprocess
import sys

import pytest
import torch

from tests.training.loop.tiny import (
    RESNET,
    VIT,
    assert_same_gradients,
    gradients,
    ignore,
    tiny_batch,
    tiny_config,
    tiny_model,
    tiny_training,
)
from training.data.batches import normalise
from training.loop.loss import contrastive_loss


def stepped(**keys: object):
    training = tiny_training(tiny_config(**keys))
    return training, training.step(0, tiny_batch(), ignore)


@pytest.mark.parametrize(("loss", "chunk_size"), [("contrastive", 5), ("sigmoid", 8)])
def test_gradients_of_chunks_equal_those_of_the_whole_batch(loss, chunk_size):
    plain, record = stepped(loss=loss, style_weight=0.3)
    chunked, chunked_record = stepped(loss=loss, style_weight=0.3, chunk_size=chunk_size)
    assert_same_gradients(gradients(plain), gradients(chunked))
    assert chunked_record == pytest.approx(record, rel=1e-5)
    assert "style_loss" in record


def test_batch_normalisation_counts_each_chunk_by_itself_and_the_step_once():
    """As if all chunks were encoded in one graph; what inference will use moves by the mean of the chunks."""
    config = tiny_config(RESNET, chunk_size=8)
    chunked = tiny_training(config)
    batch = tiny_batch()
    chunked.step(0, batch, ignore)

    model = tiny_model(config)
    fresh = {name: buffer.clone() for name, buffer in model.named_buffers()}
    moved = []
    images = []
    for start in (0, 8, 16):
        for name, buffer in model.named_buffers():
            buffer.data.copy_(fresh[name])
        pixels = normalise(batch.pixels[start : start + 8].float() / 255, config.model.preprocess)
        images.append(model.encode_image(pixels))
        moved.append({name: buffer.clone() for name, buffer in model.named_buffers()})
    texts = model.encode_text(batch.ids, batch.mask)
    scale = model.log_logit_scale.exp()
    contrastive_loss(torch.cat(images), texts, batch.concepts, batch.text_concepts, scale).backward()

    expected = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert_same_gradients(expected, gradients(chunked))
    for name, buffer in chunked.model.named_buffers():
        mean = torch.stack([buffers[name].double() for buffers in moved]).mean(dim=0)
        torch.testing.assert_close(buffer.double(), mean)
    assert chunked.model.image_tower.stages[0][1].num_batches_tracked == 1


def test_what_is_drawn_at_random_is_drawn_again_the_same():
    """With patch dropout, the second encoding of a chunk sees the patches that the first one saw."""
    config = tiny_config(VIT, patch_dropout=0.5, chunk_size=8)
    training = tiny_training(config)
    seen: list[torch.Tensor] = []
    training.model.image_tower.encoder.register_forward_pre_hook(
        lambda _, arguments: seen.append(arguments[0].detach())
    )
    training.step(0, tiny_batch(), ignore)
    assert [tuple(tokens.shape) for tokens in seen] == [(8, 1 + 8, 16)] * 6, "half of 16 patches, and the class token"
    assert all(torch.equal(first, again) for first, again in zip(seen[:3], seen[3:], strict=True))
    assert not torch.equal(seen[0], seen[1])


def test_a_locked_tower_is_encoded_once():
    training = tiny_training(tiny_config(locked="image", chunk_size=8))
    calls: list[int] = []
    training.model.image_tower.register_forward_hook(lambda *_: calls.append(1))
    training.step(0, tiny_batch(), ignore)
    assert len(calls) == 3 + 1, "and one more to learn that nothing there wants a gradient"
    assert not any(name.startswith("image_") for name in gradients(training))


MEASURE = """
import json, multiprocessing, resource, sys
import torch
from tests.training.loop.tiny import ignore, tiny_batch, tiny_config, tiny_training

torch.set_num_threads(1)
WIDE = {"kind": "vit", "image_size": 16, "patch_size": 4, "width": 64, "layers": 4, "heads": 2}


def measure(pictures, chunk_size, pipe):
    training = tiny_training(tiny_config(WIDE, chunk_size=chunk_size))
    training.step(0, tiny_batch(16), ignore)  # gradients, optimiser states and kernels are there
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    training.step(1, tiny_batch(pictures), ignore)
    pipe.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)


tiny_training(tiny_config()).step(0, tiny_batch(4), ignore)  # what is loaded at first use is loaded before the fork
fork, grown = multiprocessing.get_context("fork"), []
for pictures, chunk_size in ((192, 48), (768, 48), (768, None)):
    here, there = fork.Pipe()
    child = fork.Process(target=measure, args=(pictures, chunk_size, there))
    child.start()
    grown.append(here.recv() / 1024)
    child.join()
json.dump(grown, sys.stdout)
"""


def test_memory_is_that_of_a_chunk_whatever_the_batch():
    run = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True)
    small, large, plain = json.loads(run.stdout)
    assert large < small + 25, f"MB that a step adds: {small:.0f} for 192 pictures, {large:.0f} for 768"
    assert plain > 3 * large, f"MB: {plain:.0f} at once, {large:.0f} in chunks"
