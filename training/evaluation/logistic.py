"""Logistic regression with weights of which some may not be negative, by Newton's method."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_STEPS = 100
_LONGEST = 3.0
"""Of a step, in any weight: a logit that far off is wrong by a factor of twenty, and Newton's method overshoots."""


def fit(
    features: Array, labels: Array, importance: Array, free: NDArray[np.bool_], ridge: float = 1e-4
) -> tuple[float, Array]:
    """Intercept, and weights (k,), that make `labels` (n,), 0 or 1, the likeliest given `features` (n, k).

    A row counts `importance` (n,) times. Weights are not negative where `free` (k,) is False. `ridge` is the penalty on
    squared weights, for features of deviation 1, beside the mean loss of a row.
    """
    mean, deviation = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-9)
    rows = np.concatenate([np.ones((len(features), 1)), (features - mean) / deviation], axis=1)
    bound = np.concatenate([[False], ~free])
    held = np.zeros(len(bound), np.bool_)  # weights at their bound (Lawson and Hanson 1974, for a convex loss)
    releases = 2 * len(bound)  # more than are ever needed, but a bound all the same
    while True:
        weights, slope = _newton(rows, labels, importance, held, ridge)
        if (below := bound & ~held & (weights < 0)).any():
            held[np.where(below, weights, 0).argmin()] = True
        elif releases and (inward := held & (slope < -1e-9)).any():
            held[np.where(inward, slope, 0).argmin()] = False
            releases -= 1
        else:
            break
    unscaled = weights[1:] / deviation
    return float(weights[0] - unscaled @ mean), unscaled


def _newton(
    rows: Array, labels: Array, importance: Array, held: NDArray[np.bool_], ridge: float
) -> tuple[Array, Array]:
    """The best weights with some held at zero, and the loss's slope there."""
    weights = np.zeros(rows.shape[1])
    penalty = np.full(len(weights), ridge * len(rows))
    penalty[0] = 0
    moving = np.flatnonzero(~held)
    for _ in range(_STEPS):
        guess = 1 / (1 + np.exp(-np.clip(rows @ weights, -50, 50)))
        slope = rows.T @ (importance * (guess - labels)) + penalty * weights
        curvature = (rows * (importance * guess * (1 - guess))[:, None]).T @ rows + np.diag(penalty + 1e-9)
        step = np.linalg.solve(curvature[np.ix_(moving, moving)], slope[moving])
        step *= min(1.0, _LONGEST / max(float(np.abs(step).max()), 1e-12))
        weights[moving] -= step
        if np.abs(step).max() < 1e-9:
            break
    return weights, slope / len(rows)
