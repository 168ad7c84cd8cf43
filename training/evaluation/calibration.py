"""Fitting of relevance: a model's calibration, and what it is worth on queries that it was not fitted on.

Concepts and keywords are halved by their hash: one half is fitted on, the other one tested on. Held-out pictures only:
of pictures that a model was trained on it is too sure.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from model import Encoder
from model.calibration import Background, Calibration, Curve, Kind, features, measure
from training.data.example import DataError
from training.evaluation.logistic import fit
from training.evaluation.pictures import Pictures
from training.evaluation.reliability import Judged
from training.evaluation.trials import Pool, Query, Trial, queries_by_picture, queries_by_words, trials

TRIALS = 10_000
"""Searches of each kind, in each half."""
FEWEST = 40
"""Queries of a half; fewer say nothing."""
_KNOTS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Quantiles of the cosines of relevant pictures at which the slope may change."""
_COPY = 0.98
"""A cosine at which it may change too: between what looks alike and what is a copy."""
_NEAREST, _OTHERS = 50, 20
"""So many irrelevant pictures of a collection are fitted on: the nearest, and a sample that stands for the rest."""
_SEED = 0


def calibrate(encoder: Encoder, splits: Mapping[str, Pictures]) -> tuple[Calibration, dict[Kind, Judged]]:
    """Fit on one half of the concepts of encoded splits, judge the other half: text and image.

    Raises DataError if there are too few concepts. Where hardly any has two pictures, what a picture looks for stays
    uncalibrated.
    """
    pool = Pool(splits)
    curves: dict[Kind, Curve] = {}
    judged: dict[Kind, Judged] = {}
    kinds: tuple[Kind, ...] = ("text", "image")
    for kind in kinds:
        fitted, tested = (_queries(encoder, pool, kind, test) for test in (False, True))
        if min(sum(bool(len(query.relevant)) for query in half[0]) for half in (fitted, tested)) < FEWEST:
            if kind == "text":
                raise DataError(f"{len(pool.by_concept)} concepts are too few to calibrate with; take some hundreds.")
            continue
        rng = np.random.default_rng(_SEED)
        curves[kind] = fit_curve(_drawn(pool, fitted, f"fitting {kind}", rng))
        judged[kind] = judge(curves[kind], _drawn(pool, tested, f"testing {kind}", rng))
    names, concepts = ", ".join(splits), len(pool.by_concept)
    data = f"{len(pool.vectors):,} pictures of {concepts:,} concepts ({names}), half of the concepts"
    return Calibration(
        fingerprint=encoder.fingerprint, data=data, text=curves["text"], image=curves.get("image")
    ), judged


def _queries(encoder: Encoder, pool: Pool, kind: Kind, test: bool) -> tuple[list[Query], list[Query]]:
    return (
        queries_by_words(pool, encoder.encode_texts, test) if kind == "text" else (queries_by_picture(pool, test), [])
    )


def _drawn(
    pool: Pool, queries: tuple[Sequence[Query], Sequence[Query]], what: str, rng: np.random.Generator
) -> list[Trial]:
    return list(tqdm(trials(pool, *queries, TRIALS, rng), desc=what, total=TRIALS, unit="search"))


def fit_curve(drawn: Sequence[Trial]) -> Curve:
    """The curve that makes what is relevant in these trials the likeliest."""
    measured = [measure(trial.background) for trial in drawn]
    typical = Background(
        centre=float(np.median([one.centre for one in measured])),
        spread=float(np.median([one.spread for one in measured])),
        tail=float(np.median([one.tail for one in measured])),
    )
    found = np.concatenate([trial.cosines[trial.relevant & ~trial.copies] for trial in drawn])
    quantiles = np.quantile(found, _KNOTS)
    knots = np.round(np.unique([-1, *quantiles[quantiles < _COPY], _COPY]), 4)
    parts = [_rows(trial, typical, knots) for trial in drawn]
    rows, relevant, importance = (np.concatenate(column) for column in zip(*parts, strict=True))
    k = len(knots)
    free = np.arange(rows.shape[1]) > 2 * k
    intercept, weights = fit(rows, relevant.astype(np.float64), importance, free)
    weights = np.round(weights, 6)
    return Curve(
        typical=typical,
        knots=tuple(knots.tolist()),
        few=tuple(weights[:k].tolist()),
        many=tuple(weights[k : 2 * k].tolist()),
        **dict(zip(("standing", "size", "centre", "spread", "tail"), weights[2 * k :].tolist(), strict=True)),
        intercept=round(intercept, 6),
    )


def _rows(
    trial: Trial, typical: Background, knots: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]:
    """Features, relevance and importance of the relevant pictures of a trial and of a part of the others."""
    order = np.argsort(-trial.cosines, kind="stable")
    others = order[~trial.relevant[order]]
    nearest, rest = others[:_NEAREST], others[_NEAREST:]
    sample = rest[:: max(1, len(rest) // _OTHERS)]
    chosen = np.concatenate([np.flatnonzero(trial.relevant), nearest, sample])
    importance = np.ones(len(chosen))
    if len(sample):
        importance[-len(sample) :] = len(rest) / len(sample)
    told = features(trial.cosines[chosen], measure(trial.background, typical), len(trial.cosines), knots)
    return told, trial.relevant[chosen], importance


def judge(curve: Curve, drawn: Sequence[Trial]) -> Judged:
    """What a curve says of every picture of these trials, but of the copies of a query's own picture: any would do."""
    said = [curve.probability(trial.cosines, trial.background, len(trial.cosines))[~trial.copies] for trial in drawn]
    relevant = [trial.relevant[~trial.copies] for trial in drawn]
    return Judged(
        probabilities=np.concatenate(said),
        relevant=np.concatenate(relevant),
        trial=np.repeat(np.arange(len(drawn)), [len(part) for part in said]),
        groups=[trial.query.group for trial in drawn],
        splits=[trial.query.split for trial in drawn],
        sizes=np.array([len(trial.cosines) for trial in drawn]),
        matches=np.array([int(part.sum()) for part in relevant]),
    )
