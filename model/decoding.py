"""Writing a target with a trained `Seq2Seq`: token by token the likeliest, or the likeliest of several beginnings.

A target starts with `start_id`, which is never written, and ends with `end_id`, or is cut off after `max_length` tokens
(`end_id` counts as one of them). Its probability is the product over all tokens written, `end_id` included.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from model.seq2seq import Seq2Seq


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A target that was written: its ids, without start and end, and what the model thinks of it."""

    ids: list[int]
    ended: bool
    """False where it was cut off at the greatest length."""
    log_probability: float
    score: float
    """What hypotheses are ranked by: the log-probability over length ** length_penalty."""


@torch.no_grad()
def greedy(
    model: Seq2Seq,
    source: Tensor,
    source_mask: Tensor | None = None,
    *,
    start_id: int,
    end_id: int,
    max_length: int,
) -> list[Hypothesis]:
    """The likeliest next token, again and again: one hypothesis for each source of the batch.

    `source` is (B, S) or (B, S, features), `source_mask` (B, S) is True on real tokens.
    """
    memory, cache = model.encode(source, source_mask), model.empty_cache()
    last = torch.full((len(source), 1), start_id, device=source.device)
    written = last[:, :0]  # (B, T)
    log_probability = memory.new_zeros(len(source))
    ended = torch.zeros(len(source), dtype=torch.bool, device=source.device)
    while written.shape[1] < max_length and not ended.all():
        likeliest, ids = model.next_tokens(last, memory, source_mask, cache)[:, -1].max(dim=-1)
        log_probability += likeliest.masked_fill(ended, 0)
        last = ids.masked_fill(ended, end_id)[:, None]
        written = torch.cat([written, last], dim=1)
        ended |= ids == end_id
    return [
        _hypothesis(ids, end_id, value, value) for ids, value in zip(written, log_probability.tolist(), strict=True)
    ]


@torch.no_grad()
def beam_search(
    model: Seq2Seq,
    source: Tensor,
    source_mask: Tensor | None = None,
    *,
    beam: int,
    start_id: int,
    end_id: int,
    max_length: int,
    length_penalty: float = 0.0,
) -> list[list[Hypothesis]]:
    """The `beam` best hypotheses for each source of the batch, best first.

    At every step each hypothesis goes on with every token, and the `beam` best of all these go on; one that has ended
    stays as it is and keeps its place as long as it is among the best. With `beam` 1 this is `greedy`. With
    `length_penalty` 0 the best are the most probable, which favours short ones; 1 compares by the mean
    log-probability of a token. There are fewer than `beam` hypotheses where so many do not exist.
    """
    if beam < 1:
        raise ValueError(f"a beam of {beam} hypotheses")
    batch, device = len(source), source.device
    rows = torch.arange(batch, device=device).repeat_interleave(beam)  # each source, once for each of its hypotheses
    memory, cache = model.encode(source, source_mask)[rows], model.empty_cache()
    memory_mask = None if source_mask is None else source_mask[rows]
    written = torch.empty(batch, beam, 0, dtype=torch.int64, device=device)
    last = torch.full((batch * beam, 1), start_id, device=device)
    ended = torch.zeros(batch, beam, dtype=torch.bool, device=device)
    lengths = memory.new_zeros(batch, beam)
    # All hypotheses of a source start out the same, so only the first of them counts.
    log_probability = memory.new_full((batch, beam), -torch.inf)
    log_probability[:, 0] = 0
    scores = log_probability
    while written.shape[2] < max_length and not ended.all():
        next_BWV = model.next_tokens(last, memory, memory_mask, cache)[:, -1].unflatten(0, (batch, beam))
        vocab = next_BWV.shape[-1]
        stay = memory.new_full((vocab,), -torch.inf)
        stay[end_id] = 0
        total_BWV = log_probability[..., None] + torch.where(ended[..., None], stay, next_BWV)
        lengths = lengths + ~ended
        score_BWV = total_BWV / lengths[..., None] ** length_penalty
        scores, best = score_BWV.flatten(1).topk(beam, dim=1)  # (B, W)
        log_probability = total_BWV.flatten(1).gather(1, best)
        parent, ids = best // vocab, best % vocab
        written = torch.cat([written.take_along_dim(parent[..., None], dim=1), ids[..., None]], dim=2)
        ended = ids == end_id
        lengths = lengths.gather(1, parent)
        last = ids.flatten()[:, None]
        cache.select((parent + torch.arange(batch, device=device)[:, None] * beam).flatten())
    return [
        [
            _hypothesis(ids, end_id, log_probability[n, w].item(), scores[n, w].item())
            for w, ids in enumerate(written[n])
            if log_probability[n, w] > -torch.inf
        ]
        for n in range(batch)
    ]


def _hypothesis(ids: Tensor, end_id: int, log_probability: float, score: float) -> Hypothesis:
    written = ids.tolist()
    ended = end_id in written
    return Hypothesis(written[: written.index(end_id)] if ended else written, ended, log_probability, score)
