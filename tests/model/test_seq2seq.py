"""Encoder and decoder together learn what has to be learned by looking: to reverse, and to sort."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from model.decoding import beam_search, greedy
from model.embedding import SinusoidalPositions, TokenEmbedding
from model.seq2seq import Seq2Seq
from tests.model import sequences
from tests.model.sequences import real

START, END, VOCAB = 10, 11, 12
SHORTEST, LONGEST = 6, 8
LIMITS = {"start_id": START, "end_id": END, "max_length": LONGEST + 1}


def digits(count: int) -> tuple[Tensor, Tensor]:
    """Random digits (count, LONGEST) and which of them are real (count, LONGEST): of each row the first few."""
    lengths = torch.randint(SHORTEST, LONGEST + 1, (count,))
    return torch.randint(10, (count, LONGEST)), torch.arange(LONGEST) < lengths[:, None]


def reverse(source: Tensor, mask: Tensor) -> Tensor:
    places = mask.sum(dim=1, keepdim=True) - 1 - torch.arange(LONGEST)
    return source.gather(1, places.clamp(min=0))


def ascending(source: Tensor, mask: Tensor) -> Tensor:
    return source.masked_fill(~mask, END).sort(dim=1).values


def numbers(source: Tensor, mask: Tensor) -> Tensor:
    """One for each row: its digits and its length."""
    return (source.masked_fill(~mask, 10) * 11 ** torch.arange(LONGEST)).sum(dim=1)


@pytest.mark.parametrize(("task", "steps"), [(reverse, 200), (ascending, 300)])
def test_learns_a_task_on_sequences_it_has_not_seen(task, steps):
    torch.manual_seed(0)
    held_out, held_out_mask = digits(500)
    known = numbers(held_out, held_out_mask)
    model = Seq2Seq(
        TokenEmbedding(VOCAB, 64),
        TokenEmbedding(VOCAB, 64),
        SinusoidalPositions(LONGEST, 64),
        SinusoidalPositions(LONGEST + 1, 64),
        layers=2,
        heads=4,
        mlp_ratio=2,
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, betas=(0.9, 0.98), weight_decay=0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps, pct_start=0.1)
    for _ in range(steps):
        source, mask = digits(128)
        new = ~torch.isin(numbers(source, mask), known)
        source, mask = source[new], mask[new]
        written = functional.pad(task(source, mask), (0, 1))  # (B, LONGEST + 1)
        lengths = mask.sum(dim=1, keepdim=True)
        expected = written.scatter(1, lengths, END)
        target = functional.pad(expected[:, :-1], (1, 0), value=START)
        following = model(source, target, mask, functional.pad(mask, (1, 0), value=True))
        counted = torch.arange(LONGEST + 1) <= lengths
        loss = functional.nll_loss(following[counted], expected[counted])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()

    answers = [
        row[:length].tolist()
        for row, length in zip(task(held_out, held_out_mask), held_out_mask.sum(dim=1).tolist(), strict=True)
    ]
    by_greedy = [hypothesis.ids for hypothesis in greedy(model, held_out, held_out_mask, **LIMITS)]
    by_beam = [best.ids for best, *_ in beam_search(model, held_out, held_out_mask, beam=3, **LIMITS)]
    for found in (by_greedy, by_beam):
        exact = sum(ids == answer for ids, answer in zip(found, answers, strict=True)) / len(answers)
        assert exact >= 0.99


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("continuous", [False, True])
def test_what_is_padding_changes_nothing(learned, continuous):
    model = sequences.model(learned=learned, continuous=continuous)
    source = torch.randn(2, 5, sequences.FEATURES) if continuous else torch.randint(6, (2, 5))
    other = source.clone()
    other[1, 3:] = other[1, 3:].flip(0) + 1 if continuous else 5 - other[1, 3:]
    target, mask = torch.randint(6, (2, 7)), real([5, 3])
    torch.testing.assert_close(model(source, target, mask), model(other, target, mask), atol=1e-6, rtol=0)
    assert (model(source, target) - model(other, target)).abs().max() > 1e-3, "without the mask it would"


def test_padding_of_the_target_changes_no_real_place():
    model = sequences.model()
    source, target, mask = torch.randint(6, (2, 5)), torch.randint(6, (2, 7)), real([7, 4])
    masked, whole = model(source, target, None, mask), model(source, target)
    torch.testing.assert_close(masked[mask], whole[mask], atol=1e-6, rtol=0)


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("continuous", [False, True])
def test_every_parameter_gets_a_gradient(learned, continuous):
    model = sequences.model(learned=learned, continuous=continuous)
    source = torch.randn(2, sequences.LONGEST, sequences.FEATURES) if continuous else torch.randint(6, (2, 12))
    model(source, torch.randint(6, (2, sequences.LONGEST))).square().mean().backward()
    # softmax ignores what all keys share, so a key's bias has no gradient but rounding
    still = [n for n, p in model.named_parameters() if not n.endswith("key.bias") and not p.grad.abs().sum() > 0]
    assert still == []


def test_a_sequence_longer_than_its_positions_is_an_error():
    model = sequences.model()
    with pytest.raises(ValueError, match="13 tokens, but positions for 12"):
        model(torch.randint(6, (1, 13)), torch.randint(6, (1, 3)))
