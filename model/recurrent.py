"""Recurrent text towers, the baseline that attention replaced: LSTM (Hochreiter and Schmidhuber 1997) and GRU.

A token's state carries all that was read before it, one step a token; two directions together (Schuster and Paliwal
1997) let it know what follows, too. The GRU is Cho et al. 2014.
"""

import torch
from torch import Tensor, nn

from model.config import RecurrentTextConfig
from model.text import mean_of_real


class RecurrentText(nn.Module):
    """Token ids (B, T) and their mask (B, T), True on real tokens → features (B, width).

    Padding stands behind a text and changes nothing: forwards it is read after everything that counts, and backwards
    every text is turned round by itself, so that its own last token is read first.
    """

    def __init__(self, config: RecurrentTextConfig) -> None:
        super().__init__()
        self.width = config.feature_width
        self.bidirectional = config.bidirectional
        self.pooling = config.pooling
        self.token_embedding = nn.Embedding(config.vocab_size, config.width)
        nn.init.normal_(self.token_embedding.weight, std=config.width**-0.5)
        cell = nn.LSTM if config.kind == "lstm" else nn.GRU
        directions = 2 if config.bidirectional else 1
        self.cells = nn.ModuleList(
            nn.ModuleList(cell(config.width, config.width // directions, batch_first=True) for _ in range(directions))
            for _ in range(config.layers)
        )

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        x = self.token_embedding(ids)  # (B, T, D)
        length = mask.sum(dim=1, keepdim=True)  # (B, 1)
        place = torch.arange(ids.shape[1], device=ids.device)
        turned = torch.where(mask, length - 1 - place, place)  # (B, T); turned twice, a text is as it was
        for layer in self.cells:
            forwards, *backwards = layer.children()
            states = [forwards(x)[0]]
            states += [_reorder(cell(_reorder(x, turned))[0], turned) for cell in backwards]
            x = torch.cat(states, dim=-1)  # (B, T, D), half of it from each direction
        if self.pooling == "mean":
            return mean_of_real(x, mask)
        last: Tensor = _reorder(x, length - 1)[:, 0]  # (B, D)
        if self.bidirectional:  # reading backwards, the first token is the last
            half = self.width // 2
            last = torch.cat([last[:, :half], x[:, 0, half:]], dim=-1)
        return last


def _reorder(x: Tensor, places: Tensor) -> Tensor:
    """The tokens of x (B, T, D) in the order of places (B, T)."""
    return x.gather(1, places[:, :, None].expand(-1, -1, x.shape[2]))
