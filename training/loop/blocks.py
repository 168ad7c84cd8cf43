"""The blocks of a tower: the unit in which activations are computed again, weights are shared out and rates decay."""

from collections.abc import Iterator

from torch import nn

from model.modified_resnet import Bottleneck
from model.resnet import BasicBlock
from model.transformer import EncoderBlock


def blocks(tower: nn.Module) -> Iterator[nn.Module]:
    """Residual blocks, from the input up; a recurrent tower has none."""
    return (module for module in tower.modules() if isinstance(module, EncoderBlock | BasicBlock | Bottleneck))


def depths(tower: nn.Module) -> dict[str, int]:
    """How many layers lie above each parameter of a tower, by its name.

    What comes after the last block has 0, the last block 1, and what comes before the first block, the embedding or
    stem, has the most. Towers declare their parts from the input up.
    """
    of_block = {
        parameter: level for level, block in enumerate(blocks(tower), start=1) for parameter in block.parameters()
    }
    last = max(of_block.values(), default=0)
    levels: dict[str, int] = {}
    level = 0
    for name, parameter in tower.named_parameters():
        level = of_block.get(parameter, last + 1 if level == last else level)
        levels[name] = level
    return {name: last + 1 - level for name, level in levels.items()}
