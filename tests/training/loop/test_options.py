"""Each option of the loop does what it says, and only that."""

import copy

import pytest
import torch
from pydantic import ValidationError

from model.clip import CLIP, image_tower
from model.config import ModelConfig
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
from training.loop.average import update_average
from training.loop.blocks import depths
from training.loop.optimizer import optimizers
from training.loop.patch_dropout import drop_patches
from training.loop.schedule import learning_rate


@pytest.mark.parametrize("vision", [VIT, RESNET], ids=["vit", "resnet"])
def test_recomputed_activations_change_nothing(vision):
    """Neither gradients nor running statistics, which see the same batch twice but count it once."""
    held, recomputed = (tiny_training(tiny_config(vision, activation_checkpointing=on)) for on in (False, True))
    for training in (held, recomputed):
        training.step(0, tiny_batch(), ignore)
    assert_same_gradients(gradients(held), gradients(recomputed))
    for name, buffer in held.model.named_buffers():
        torch.testing.assert_close(recomputed.model.get_buffer(name), buffer)


def test_recomputed_activations_are_not_held():
    def held(on: bool) -> int:
        training = tiny_training(tiny_config(activation_checkpointing=on))
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t):
            training.model.encode_image(torch.zeros(4, 3, 16, 16))
        return sum(sizes)

    assert held(True) < held(False) / 2


def test_patch_dropout_leaves_the_class_token_and_inference_alone():
    training = tiny_training(tiny_config(patch_dropout=0.75))
    tower, plain = training.model.image_tower, tiny_model(tiny_config()).image_tower
    pixels = torch.rand(3, 3, 16, 16)
    seen: list[torch.Tensor] = []
    tower.encoder.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0].detach()))
    tower.train()(pixels)
    assert seen[0].shape == (3, 1 + 4, 16)
    tower.eval()
    plain.eval()
    torch.testing.assert_close(tower(pixels), plain(pixels))
    assert seen[1].shape == (3, 1 + 16, 16)
    whole, kept = seen[1], seen[0]
    assert torch.equal(kept[:, 0], whole[:, 0]), "the class token"
    for picture in range(3):
        matches = (kept[picture, 1:, None] == whole[picture, None, 1:]).all(dim=-1)
        assert (matches.sum(dim=1) == 1).all(), "every token kept is one of the picture's own, with its position"


def test_patch_dropout_works_for_every_pooling():
    for pooling, class_token in (("mean", False), ("map", False), ("class", True)):
        config = tiny_config(VIT | {"pooling": pooling, "class_token": class_token}).model.vision
        tower = image_tower(config)
        drop_patches(tower, 0.5)
        assert tower.train()(torch.rand(2, 3, 16, 16)).shape == (2, 16)


@pytest.mark.parametrize("locked", ["image", "text"])
def test_a_locked_tower_stays_as_it_is(locked):
    training = tiny_training(tiny_config(RESNET, locked=locked))
    before = copy.deepcopy(training.model.state_dict())
    for step in range(2):
        training.step(step, tiny_batch(seed=step), ignore)
    changed = {name for name, value in training.model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert not any(name.startswith(locked) for name in changed), "weights, projection, running statistics"
    assert "log_logit_scale" in changed


@pytest.mark.parametrize("loss", ["contrastive", "sigmoid"])
def test_the_scale_and_bias_start_where_their_loss_wants_them(loss):
    model = tiny_model(tiny_config(loss=loss))
    if loss == "sigmoid":
        assert model.log_logit_scale.exp().item() == pytest.approx(10)
        assert model.logit_bias.item() == -10
    else:
        assert model.log_logit_scale.exp().item() == pytest.approx(1 / 0.07)
        assert model.logit_bias is None


def test_only_the_contrastive_loss_bounds_its_scale():
    for loss, bounded in (("contrastive", True), ("sigmoid", False)):
        training = tiny_training(tiny_config(loss=loss))
        with torch.no_grad():
            training.model.log_logit_scale.fill_(5.0)  # 148
        training.step(0, tiny_batch(), ignore)
        assert (training.model.log_logit_scale.exp().item() <= 100.001) == bounded


def test_depths_count_the_layers_above():
    towers = CLIP(ModelConfig.model_validate({"name": "t", "embedding_dim": 8, "vision": VIT, "text": tiny_text()}))
    of_image, of_text = depths(towers.image_tower), depths(towers.text_tower)
    for name in ("class_token", "position_embedding", "patch_embedding.weight"):
        assert of_image[name] == 3
    assert of_image["encoder.blocks.0.mlp.expand.weight"] == 2
    assert of_image["encoder.blocks.1.mlp.expand.weight"] == 1
    assert of_image["encoder.norm.weight"] == 0
    assert of_text["token_embedding.weight"] == 3
    of_resnet = depths(tiny_model(tiny_config(RESNET)).image_tower)
    assert (of_resnet["stages.0.0.weight"], of_resnet["stages.1.conv1.weight"], of_resnet["stages.2.conv1.weight"]) == (
        3,
        2,
        1,
    )


def tiny_text() -> dict:
    return tiny_config().model.text.model_dump()


def test_layer_decay_slows_the_lower_layers_only():
    config = tiny_config(optimizer={"layer_decay": 0.5})
    model = tiny_model(config)
    names = {parameter: name for name, parameter in model.named_parameters()}
    scales = {
        names[parameter]: group["scale"]
        for optimizer in optimizers(model, config)
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    assert scales.keys() == set(names.values())
    assert scales["image_tower.patch_embedding.weight"] == 0.125
    assert scales["text_tower.encoder.blocks.1.attention_norm.bias"] == 0.5
    assert scales["image_projection.weight"] == scales["log_logit_scale"] == 1


def test_the_rate_is_level_and_then_falls_over_the_last_steps():
    config = tiny_config(optimizer={"warmup_steps": 2, "decay_steps": 4, "learning_rate": 1.0})
    rates = [learning_rate(step, config) for step in range(11)]
    assert rates == pytest.approx([0.5, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0])


def test_the_average_is_first_of_all_steps_and_then_of_the_last():
    live, average = torch.nn.Linear(1, 1, bias=False), torch.nn.Linear(1, 1, bias=False)
    for step, value in enumerate((4.0, 8.0)):
        live.weight.data.fill_(value)
        update_average(average, live, step, decay=0.999)
    assert average.weight.item() == pytest.approx(4 + 4 * 10 / 11), "0, then 1 / 11 of what was"
    live.weight.data.fill_(0.0)
    before = average.weight.item()
    update_average(average, live, 100_000, decay=0.75)
    assert average.weight.item() == pytest.approx(0.75 * before)


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ({"vision": RESNET, "patch_dropout": 0.5}, "patch_dropout needs a vit"),
        ({"locked": "image", "style_weight": 0.5}, "style_weight trains the image tower"),
        ({"optimizer": {"decay_steps": 9, "warmup_steps": 2}}, "exceed steps = 10"),
        ({"loss": "triplet"}, "loss"),
    ],
)
def test_options_that_do_not_go_together_are_named(keys, complaint):
    with pytest.raises(ValidationError, match=complaint):
        tiny_config(**keys)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch.compile loads what it calls deprecated
@pytest.mark.parametrize("vision", [VIT, RESNET], ids=["vit", "resnet"])
def test_a_compiled_model_takes_the_same_step(vision):
    plain, compiled = (tiny_training(tiny_config(vision, compile=on, chunk_size=12)) for on in (False, True))
    records = [training.step(0, tiny_batch(), ignore) for training in (plain, compiled)]
    assert records[1] == pytest.approx(records[0], rel=1e-4)
    assert plain.state()["model"].keys() == compiled.state()["model"].keys()
