"""The recurrent towers against torch's packed sequences, and against reading every text by itself."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from model.config import RecurrentTextConfig
from model.recurrent import RecurrentText

LENGTHS = torch.tensor([7, 1, 4, 7, 2])


def tower(kind: str, bidirectional: bool, pooling: str) -> RecurrentText:
    torch.manual_seed(0)
    config = RecurrentTextConfig(
        kind=kind, vocab_size=50, context_length=9, width=12, layers=3, bidirectional=bidirectional, pooling=pooling
    )
    return RecurrentText(config)


def theirs(ours: RecurrentText, kind: str) -> nn.RNNBase:
    """torch's stack of all layers and directions, with the same weights."""
    made = {"lstm": nn.LSTM, "gru": nn.GRU}[kind](
        12, 12 // len(ours.cells[0]), num_layers=3, bidirectional=len(ours.cells[0]) == 2, batch_first=True
    )
    for layer, directions in enumerate(ours.cells):
        for cell, suffix in zip(directions, ("", "_reverse"), strict=False):
            for name, value in cell.named_parameters():
                getattr(made, name.replace("_l0", f"_l{layer}{suffix}")).data.copy_(value)
    return made


def batch() -> tuple[Tensor, Tensor]:
    mask = torch.arange(9) < LENGTHS[:, None]
    return torch.randint(0, 50, mask.shape), mask


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_it_equals_torch_on_packed_texts(kind, bidirectional, pooling):
    ours = tower(kind, bidirectional, pooling)
    ids, mask = batch()
    x = ours.token_embedding(ids)
    packed, state = theirs(ours, kind)(pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False))
    if pooling == "last":
        hidden = state[0] if kind == "lstm" else state  # (layers · directions, B, D / directions)
        expected = hidden[-2:].transpose(0, 1).flatten(1) if bidirectional else hidden[-1]
    else:
        states, _ = pad_packed_sequence(packed, batch_first=True)  # zero behind each text
        expected = states.sum(dim=1) / LENGTHS[:, None]
    actual = ours(ids, mask)
    torch.testing.assert_close(actual, expected, atol=1e-6, rtol=1e-5)
    weight = ours.token_embedding.weight
    mine, other = (torch.autograd.grad(output.square().sum(), weight)[0] for output in (actual, expected))
    torch.testing.assert_close(mine, other, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_it_equals_reading_each_text_by_itself_token_by_token(kind):
    ours = tower(kind, True, "last")
    ids, mask = batch()
    for row, length in enumerate(LENGTHS):
        x = ours.token_embedding(ids[row, :length])  # (T, D)
        for forwards, backwards in ours.cells:
            ahead, back = read(forwards, x), read(backwards, x.flip(0)).flip(0)
            x = torch.cat([ahead, back], dim=1)
        expected = torch.cat([ahead[-1], back[0]])
        torch.testing.assert_close(ours(ids, mask)[row], expected, atol=1e-6, rtol=1e-5)


def read(cell: nn.RNNBase, x: Tensor) -> Tensor:
    """The equations of LSTM and GRU, one token (D,) after the other → the states (T, D')."""
    w_ih, w_hh, b_ih, b_hh = cell.weight_ih_l0, cell.weight_hh_l0, cell.bias_ih_l0, cell.bias_hh_l0
    h, c, states = torch.zeros(cell.hidden_size), torch.zeros(cell.hidden_size), []
    for token in x:
        from_token, from_state = w_ih @ token + b_ih, w_hh @ h + b_hh
        if isinstance(cell, nn.LSTM):
            i, f, g, o = (from_token + from_state).chunk(4)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
        else:
            (r, z, n), (r_h, z_h, n_h) = from_token.chunk(3), from_state.chunk(3)
            new = (n + (r + r_h).sigmoid() * n_h).tanh()
            keep = (z + z_h).sigmoid()
            h = (1 - keep) * new + keep * h
        states.append(h)
    return torch.stack(states)
