"""A tensor there and the tensors here that hold the same numbers; tables of such rules are read in both directions."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from model.errors import ForeignCheckpointError
from model.weights import BFLOAT16, Array

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Rule:
    """One tensor of a checkpoint and what it is here.

    There it is called `there` and has the shape `shape`. Seen as `unfolded`, turned by `axes` and cut into equal parts
    along its first axis, it is the tensors `here`, of shape `part` each. A `counter` may be absent there and is then 0.
    """

    there: str
    shape: Shape
    here: tuple[str, ...]
    part: Shape
    unfolded: Shape
    axes: tuple[int, ...]
    counter: bool = False

    def parts(self, array: Array) -> list[Array]:
        """The tensors here, of the one there: views of it."""
        cut = array.reshape(self.unfolded).transpose(self.axes).reshape(len(self.here), *self.part)
        return [cut[index, ...] for index in range(len(self.here))]

    def whole(self, parts: Sequence[Array]) -> Array:
        """The tensor there, of those here: a view if it is one."""
        turned = tuple(self.unfolded[axis] for axis in self.axes)
        stacked = parts[0] if len(parts) == 1 else np.stack(parts)
        return stacked.reshape(turned).transpose(np.argsort(self.axes)).reshape(self.shape)


def same(there: str, here: str, shape: Shape) -> Rule:
    """The same tensor under another name."""
    return Rule(there, shape, (here,), shape, shape, tuple(range(len(shape))))


def reshaped(there: str, here: str, shape: Shape, part: Shape) -> Rule:
    """The same numbers in the same order."""
    return Rule(there, shape, (here,), part, shape, tuple(range(len(shape))))


def transposed(there: str, here: str, shape: Shape) -> Rule:
    """A matrix that is applied from the right there, from the left here."""
    return Rule(there, shape, (here,), shape[::-1], shape, (1, 0))


def stacked(there: str, here: Sequence[str], part: Shape) -> Rule:
    """Several tensors of one shape, on top of each other there."""
    shape = (len(here) * part[0], *part[1:])
    return Rule(there, shape, tuple(here), part, shape, tuple(range(len(shape))))


def linear(there: str, here: str, width_in: int, width_out: int, bias: bool = True) -> list[Rule]:
    """A linear map, called alike in both but for the name of the module."""
    weight = same(f"{there}.weight", f"{here}.weight", (width_out, width_in))
    return [weight, same(f"{there}.bias", f"{here}.bias", (width_out,))] if bias else [weight]


def stacked_linear(there: tuple[str, str], here: str, names: Sequence[str], width: int) -> list[Rule]:
    """Projections (`query`, `key`, `value`) of one attention that are one matrix and one bias there."""
    weight, bias = there
    return [
        stacked(weight, [f"{here}.{name}.weight" for name in names], (width, width)),
        stacked(bias, [f"{here}.{name}.bias" for name in names], (width,)),
    ]


def norm(there: str, here: str, width: int) -> list[Rule]:
    """A layer norm."""
    return [same(f"{there}.{name}", f"{here}.{name}", (width,)) for name in ("weight", "bias")]


def batch_norm(there: str, here: str, width: int) -> list[Rule]:
    """A batch norm with its running statistics."""
    names = ("weight", "bias", "running_mean", "running_var")
    rules = [same(f"{there}.{name}", f"{here}.{name}", (width,)) for name in names]
    counter = "num_batches_tracked"
    return [*rules, Rule(f"{there}.{counter}", (), (f"{here}.{counter}",), (), (), (), counter=True)]


def convolution(there: str, here: str, channels_in: int, channels_out: int, side: int) -> Rule:
    """A convolution without bias."""
    return same(f"{there}.weight", f"{here}.weight", (channels_out, channels_in, side, side))


def convert(
    rules: Iterable[Rule], tensors: Mapping[str, Array], ignored: Callable[[str], bool] = lambda _: False
) -> dict[str, Array]:
    """The tensors here, of those there: views, all of them.

    Raises ForeignCheckpointError, which names every tensor that is missing, unknown (unless it is `ignored`), has
    another shape than it should, or is of whole numbers.
    """
    table = {rule.there: rule for rule in rules}
    faults = faults_of(table, tensors, ignored)
    if faults:
        raise ForeignCheckpointError("the tensors are not those of this architecture: " + "; ".join(faults))
    weights: dict[str, Array] = {}
    for name, rule in table.items():
        array = tensors[name] if name in tensors else np.zeros((), dtype=np.int64)
        weights |= zip(rule.here, rule.parts(array), strict=True)
    return weights


def faults_of(table: Mapping[str, Rule], tensors: Mapping[str, Array], ignored: Callable[[str], bool]) -> list[str]:
    """What does not fit, a phrase for each kind of fault with all the names; empty if everything fits."""
    missing = sorted(name for name, rule in table.items() if name not in tensors and not rule.counter)
    unknown = sorted(name for name in tensors if name not in table and not ignored(name))
    common = sorted(table.keys() & tensors.keys())
    misshapen = [
        f"{name} is {tensors[name].shape} instead of {table[name].shape}"
        for name in common
        if tensors[name].shape != table[name].shape and not _both_scalar(tensors[name].shape, table[name].shape)
    ]
    whole = [
        f"{name} ({tensors[name].dtype})"
        for name in common
        if not table[name].counter and tensors[name].dtype.kind != "f" and tensors[name].dtype != BFLOAT16
    ]
    kinds = {"missing": missing, "unknown": unknown, "misshapen": misshapen, "not floating point": whole}
    return [f"{kind} ({len(names)}): {', '.join(names)}" for kind, names in kinds.items() if names]


def _both_scalar(one: Shape, other: Shape) -> bool:
    return math.prod(one) == math.prod(other) == 1 and max(len(one), len(other)) <= 1


def revert(rules: Iterable[Rule], weights: Mapping[str, Array]) -> dict[str, Array]:
    """The tensors there, of those here; every tensor here must have its rule."""
    table = list(rules)
    left = weights.keys() - {name for rule in table for name in rule.here}
    if left:
        raise ValueError(f"no rule for {', '.join(sorted(left))}")
    return {rule.there: rule.whole([weights[name] for name in rule.here]) for rule in table}
