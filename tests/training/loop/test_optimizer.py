"""Each parameter is decayed or left alone as it should be; Muon's updates are what its paper says."""

import pytest
import torch

from training.config import TrainingConfig
from training.loop.checkpoint import load_checkpoint
from training.loop.muon import Muon, orthogonalised
from training.loop.optimizer import optimizers
from training.loop.run import Run
from training.loop.schedule import learning_rate


@pytest.mark.parametrize("kind", ["muon", "adamw"])
def test_decay_is_kept_from_gains_biases_and_embeddings(config, tmp_path, kind):
    config = config.model_copy(update={"optimizer": config.optimizer.model_copy(update={"kind": kind})})
    model = Run(config, tmp_path).model
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decayed, free = (group for optimizer in optimizers(model, config) for group in optimizer.param_groups)
    decayed_names = {names[id(parameter)] for parameter in decayed["params"]}
    free_names = {names[id(parameter)] for parameter in free["params"]}
    assert decayed_names | free_names == set(names.values())
    assert decayed["weight_decay"] == config.optimizer.weight_decay
    assert free["weight_decay"] == 0
    assert "image_projection.weight" in decayed_names
    assert {"log_logit_scale", "text_tower.token_embedding.weight", "text_tower.position_embedding"} <= free_names
    assert not any(name.endswith(("bias", "norm.weight")) for name in decayed_names)


@pytest.mark.parametrize(("first", "then"), [("muon", "adamw"), ("adamw", "muon")])
def test_another_optimiser_begins_anew_where_it_knows_nothing(config, tmp_path, first, then):
    def by(kind: str, steps: int) -> TrainingConfig:
        section = config.optimizer.model_copy(update={"kind": kind})
        return config.model_copy(update={"optimizer": section, "steps": steps})

    Run(by(first, 2), tmp_path).train()
    run = Run(by(then, 4), tmp_path, resume=True)
    states = [state for optimizer in run.training.optimizers for state in optimizer.state.values()]
    assert {tuple(state) for state in states} == {("step", "exp_avg", "exp_avg_sq")}, "of what AdamW had and has"
    run.train()
    kept = {tuple(state) for state in load_checkpoint(tmp_path)["optimizers"].values()}
    assert (("momentum",) in kept) == (then == "muon")


def test_the_rate_warms_up_and_ends_at_zero(config):
    rates = [learning_rate(step, config) for step in range(config.steps + 1)]
    peak = config.optimizer.learning_rate
    assert rates[0] == peak / 2
    assert max(rates) == peak
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[-1] == pytest.approx(0)


@pytest.mark.parametrize("shape", [(8, 8), (16, 40), (40, 16)])
def test_an_orthogonalised_matrix_keeps_its_directions_and_evens_out_their_sizes(shape):
    torch.manual_seed(0)
    u, _, vt = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    sizes = torch.linspace(0.2, 1, min(shape))
    made = orthogonalised(u @ torch.diag(sizes) @ vt)
    seen = u.mT @ made @ vt.mT
    assert seen.diagonal().min() > 0.6
    assert seen.diagonal().max() < 1.3
    assert (seen - torch.diag(seen.diagonal())).abs().max() < 0.05, "no direction is turned into another"


def test_an_update_of_muon_has_the_size_of_one_of_adamw():
    torch.manual_seed(0)
    kernel = torch.nn.Parameter(torch.zeros(32, 16, 3, 3))
    kernel.grad = torch.randn_like(kernel) * 1e-4
    Muon([kernel], lr=0.1, weight_decay=0.0).step()
    assert 0.1 * 0.1 < kernel.detach().square().mean().sqrt().item() < 0.1 * 0.4, "AdamW's is about 0.2 to 0.4 of lr"


def test_muon_learns_a_direction_that_is_rare_in_the_data_as_fast_as_a_common_one():
    torch.manual_seed(0)
    spread = torch.logspace(0, -1.5, 8)  # the last input has a thirtieth of the first one's size
    inputs = torch.randn(512, 8) * spread
    weights = torch.nn.Parameter(torch.zeros(8, 8))
    muon = Muon([weights], lr=0.05, weight_decay=0.0)
    for _ in range(60):
        muon.zero_grad()
        (inputs @ (weights - torch.eye(8))).square().mean().backward()
        muon.step()
    learned = weights.detach().diagonal()
    assert (learned > 0.8).all(), learned
