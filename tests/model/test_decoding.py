"""Decoding may take short cuts, but what it writes is what the whole model finds likeliest."""

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model.decoding import Hypothesis, beam_search, greedy
from model.seq2seq import Seq2Seq
from tests.model import sequences
from tests.model.sequences import END, START, real

LIMITS = {"start_id": START, "end_id": END, "max_length": 7}


@settings(max_examples=20, deadline=None)
@given(learned=st.booleans(), continuous=st.booleans(), seed=st.integers(0, 2**31))
def test_cached_log_probabilities_are_those_of_the_whole_model(learned, continuous, seed):
    model = sequences.model(learned=learned, continuous=continuous, seed=seed).double()
    mask = real([2, 5, 4])
    source = torch.randn(3, 5, sequences.FEATURES).double() if continuous else torch.randint(6, (3, 5))
    target = torch.randint(6, (3, 8))
    with torch.no_grad():
        whole = model(source, target, mask)
        memory, cache = model.encode(source, mask), model.empty_cache()
        steps = [model.next_tokens(target[:, t : t + 1], memory, mask, cache) for t in range(8)]
    torch.testing.assert_close(torch.cat(steps, dim=1), whole, atol=1e-12, rtol=0)
    torch.testing.assert_close(whole.exp().sum(dim=-1), torch.ones(3, 8).double())


def log_probability(model: Seq2Seq, source: Tensor, written: list[int]) -> float:
    """Of one target, end token included, by the whole model at once."""
    with torch.no_grad():
        following = model(source[None], torch.tensor([[START, *written[:-1]]]))[0]
    return following[range(len(written)), written].sum().item()


def with_end(hypothesis: Hypothesis) -> list[int]:
    return hypothesis.ids + [END] * hypothesis.ended


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), beam=st.integers(1, 5), length_penalty=st.sampled_from([0.0, 0.6, 1.0]))
def test_hypotheses_are_as_probable_as_they_say(seed, beam, length_penalty):
    model = sequences.model(seed=seed)
    sources = torch.randint(6, (2, 4))
    found = beam_search(model, sources, beam=beam, length_penalty=length_penalty, **LIMITS)
    for source, hypotheses, likeliest in zip(sources, found, greedy(model, sources, **LIMITS), strict=True):
        assert len(hypotheses) == beam
        assert len({tuple(with_end(hypothesis)) for hypothesis in hypotheses}) == beam, "the same one twice"
        assert [h.score for h in hypotheses] == sorted((h.score for h in hypotheses), reverse=True)
        for hypothesis in hypotheses:
            length = len(with_end(hypothesis))
            assert hypothesis.score == pytest.approx(hypothesis.log_probability / length**length_penalty, abs=1e-4)
        for hypothesis in [*hypotheses, likeliest]:
            written = with_end(hypothesis)
            assert hypothesis.log_probability == pytest.approx(log_probability(model, source, written), abs=1e-4)
            assert hypothesis.ended or len(written) == LIMITS["max_length"]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), length_penalty=st.sampled_from([0.0, 0.6, 1.0]))
def test_a_beam_of_one_is_greedy(seed, length_penalty):
    model = sequences.model(seed=seed)
    source, mask = torch.randint(6, (4, 5)), real([5, 1, 3, 5])
    beams = beam_search(model, source, mask, beam=1, length_penalty=length_penalty, **LIMITS)
    for [best], likeliest in zip(beams, greedy(model, source, mask, **LIMITS), strict=True):
        assert (best.ids, best.ended) == (likeliest.ids, likeliest.ended)
        assert best.log_probability == pytest.approx(likeliest.log_probability, abs=1e-5)


def test_greedy_takes_the_likeliest_token_of_the_whole_model():
    model = sequences.model(seed=5)
    source = torch.randint(6, (8, 5))
    found = greedy(model, source, **LIMITS)
    assert {hypothesis.ended for hypothesis in found} == {True, False}, "the seed shows both"
    for row, hypothesis in zip(source, found, strict=True):
        written = [START]
        while len(written) <= LIMITS["max_length"] and END not in written:
            with torch.no_grad():
                written.append(int(model(row[None], torch.tensor([written]))[0, -1].argmax()))
        assert with_end(hypothesis) == written[1:]


def every_target(vocab: int, max_length: int) -> list[list[int]]:
    """All that can be written: with an end, or cut off."""
    others = [token for token in range(vocab) if token != END]
    ended = [[*ids, END] for length in range(max_length) for ids in product(others, repeat=length)]
    return ended + [list(ids) for ids in product(others, repeat=max_length)]


@pytest.mark.parametrize("max_length", [1, 2, 3])
@pytest.mark.parametrize("length_penalty", [0.0, 0.7, 1.0])
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_a_wide_beam_finds_what_exhaustive_search_finds(seed, length_penalty, max_length):
    vocab = 4
    model = sequences.model(vocab, seed=seed).double()
    source = torch.randint(vocab, (1, 3))
    targets = every_target(vocab, max_length)
    scores = [log_probability(model, source[0], ids) / len(ids) ** length_penalty for ids in targets]
    ranked = sorted(zip(scores, targets, strict=True), reverse=True)
    [found] = beam_search(
        model, source, beam=50, start_id=START, end_id=END, max_length=max_length, length_penalty=length_penalty
    )
    assert [with_end(hypothesis) for hypothesis in found] == [ids for _, ids in ranked], "all there are, best first"
    assert [hypothesis.score for hypothesis in found] == pytest.approx([score for score, _ in ranked], abs=1e-9)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), beam=st.integers(1, 4))
def test_padding_and_neighbours_change_nothing(seed, beam):
    model = sequences.model(seed=seed)
    lengths = [5, 2, 3]
    source = torch.randint(6, (3, 5))
    together = beam_search(model, source, real(lengths), beam=beam, **LIMITS)
    for row, length, hypotheses in zip(source, lengths, together, strict=True):
        [alone] = beam_search(model, row[None, :length], beam=beam, **LIMITS)
        assert [h.ids for h in hypotheses] == [h.ids for h in alone]
        assert [h.score for h in hypotheses] == pytest.approx([h.score for h in alone], abs=1e-4)


def test_a_length_penalty_favours_longer_targets():
    model = sequences.model(4, seed=3)
    source = torch.randint(4, (6, 3))
    lengths = [
        sum(len(best[0].ids) for best in beam_search(model, source, beam=50, length_penalty=penalty, **LIMITS))
        for penalty in (0.0, 1.0)
    ]
    assert lengths[0] < lengths[1]


def test_limits_are_errors_or_kept():
    model, source = sequences.model(), torch.randint(6, (1, 3))
    with pytest.raises(ValueError, match="a beam of 0 hypotheses"):
        beam_search(model, source, beam=0, **LIMITS)
    assert greedy(model, source, start_id=START, end_id=END, max_length=0) == [Hypothesis([], False, 0.0, 0.0)]
    model.output.linear.bias.data[END] = -1e9
    with pytest.raises(ValueError, match="13 tokens, but positions for 12"):
        greedy(model, source, start_id=START, end_id=END, max_length=sequences.LONGEST + 1)
