"""What `evaluate --calibrate` writes is the best there is, is fitted on one half and judged on the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from model import load
from model.calibration import Background, Calibration, Curve
from model.folder import CALIBRATION
from training.__main__ import main
from training.data.example import DataError
from training.evaluation import calibration
from training.evaluation.calibration import calibrate
from training.evaluation.logistic import fit
from training.evaluation.pictures import Described, Pictures
from training.evaluation.reliability import Judged, calibration_error, draw_reliability, reliability, summary, table
from training.evaluation.trials import Pool, queries_by_picture, queries_by_words, second_half, trials

DIM = 16
SHIPPED = Path(__file__).parents[3] / "model/pretrained/pictogram"
SAMPLE = Path(__file__).parents[2] / "data/sample"
FLAT = Curve(typical=Background(centre=0, spread=1, tail=2), standing=0, size=0, intercept=0)
CURVES = {"text": FLAT, "image": None}


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


class Words:
    """A model of words alone: each has a direction of its own."""

    fingerprint = "words"

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return unit(np.stack([np.random.default_rng(list(text.encode())).normal(size=DIM) for text in texts]))


def drawn(concepts: int, each: int, noise: float = 0.6) -> Pictures:
    """Pictures of each concept, that lie about the direction of its name; every fourth concept shares a keyword."""
    rng = np.random.default_rng(0)
    examples = [
        Described(
            key=f"{n}-{k}",
            concept=f"concept {n}",
            label=f"concept {n}",
            tags=(f"many {n // 4}",),
            group="even" if n % 2 == 0 else "odd",
        )
        for n in range(concepts)
        for k in range(each)
    ]
    names = Words().encode_texts([example.label for example in examples])
    return Pictures(unit(names + noise * rng.normal(size=names.shape) / DIM**0.5), examples, Path())


@pytest.fixture(scope="module")
def fitted() -> tuple[Calibration, dict[str, Judged]]:
    before, calibration.TRIALS = calibration.TRIALS, 1000
    try:
        return calibrate(Words(), {"held-out": drawn(300, 3)})
    finally:
        calibration.TRIALS = before


def test_what_is_said_to_be_likely_is_so_on_the_other_half(fitted: tuple[Calibration, dict[str, Judged]]) -> None:
    model, judged = fitted
    assert model.fingerprint == "words"
    assert "900 pictures of 300 concepts" in model.data
    for kind in ("text", "image"):
        worth = summary(judged[kind])
        assert worth["calibration_error_above_0.05"] < 0.06
        for threshold in (0.5, 0.8):
            assert worth[str(threshold)]["precision"] >= threshold
        assert worth["0.8"]["recall"] > 0.1
        assert worth["0.8"]["matchless_answered_with_nothing"] > 0.9


def test_the_result_is_told_by_slice_and_drawn(fitted: tuple[Calibration, dict[str, Judged]], tmp_path: Path) -> None:
    _, judged = fitted
    worth = {kind: summary(of_kind) for kind, of_kind in judged.items()}
    assert set(worth["image"]["groups"]) == {"even", "odd"}
    assert set(worth["text"]["groups"]) == {"even", "odd", "keyword"}
    assert sum(part["searches"] for part in worth["text"]["sizes"].values()) == worth["text"]["searches"] == 1000
    assert "| image, group even | 0.8 |" in table(worth)
    draw_reliability(judged, tmp_path / "reliability.png")
    assert (tmp_path / "reliability.png").read_bytes().startswith(b"\x89PNG")


def test_one_command_calibrates_a_model_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "TRIALS", 60)
    monkeypatch.setattr(calibration, "FEWEST", 2)
    folder = tmp_path / "model"
    for name in ("config.json", "model.safetensors", "tokenizer.json", "preprocessor_config.json", "onnx"):
        folder.mkdir(exist_ok=True)
        (folder / name).symlink_to(SHIPPED / name)
    (folder / CALIBRATION).write_text(Calibration(fingerprint="stale", data="", **CURVES).model_dump_json())
    assert main(["evaluate", str(folder), str(SAMPLE), "--calibrate"]) == 0
    encoder = load(folder, threads=1)
    assert isinstance(encoder.calibration, Calibration)
    assert encoder.calibration.fingerprint == encoder.fingerprint
    assert "(validation)" in encoder.calibration.data  # what was trained on is left out


def test_without_second_pictures_only_words_are_calibrated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "TRIALS", 300)
    model, judged = calibrate(Words(), {"held-out": drawn(200, 1)})
    assert model.image is None
    assert set(judged) == {"text"}
    alone = np.array([0.95])
    assert 0 < model.probability("image", alone, alone, 1)[0] < 1


def test_too_few_concepts_are_refused() -> None:
    with pytest.raises(DataError, match="20 concepts are too few"):
        calibrate(Words(), {"held-out": drawn(20, 3)})


def test_a_search_is_what_it_says_it_is() -> None:
    pool = Pool({"a": drawn(60, 3), "b": drawn(60, 1, noise=0.3)})
    owners = np.array([f"concept {n}" for n in range(60) for _ in range(3)] + [f"concept {n}" for n in range(60)])
    for test in (False, True):
        labels, keywords = queries_by_words(pool, Words().encode_texts, test)
        by_picture = queries_by_picture(pool, test)
        asked = {owners[query.relevant[0]] for query in (*labels, *by_picture)}
        assert asked == {concept for concept in owners if second_half(concept) == test}
        for chosen in ((labels, keywords), (by_picture, [])):
            found = list(trials(pool, *chosen, 200, np.random.default_rng(test)))
            matchless = np.mean([not (trial.relevant & ~trial.copies).any() for trial in found])
            assert 0.35 < matchless < 0.65
            for trial in found:
                assert 5 <= len(trial.cosines) <= len(owners)
                known = pool.vectors[trial.query.relevant] @ trial.query.vector
                nearest = np.abs(trial.cosines[:, None] - known).min(axis=1, initial=2)
                assert (nearest[~trial.relevant] > 0).all()
                assert (nearest[trial.relevant & ~trial.copies] < 1e-6).all()
                if trial.copies.any():
                    assert trial.cosines[trial.copies] == pytest.approx(1, abs=1e-6)


def test_a_collection_has_its_size_however_many_pictures_a_concept_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.evaluation.trials._size", lambda most, least, rng: min(most, 5))  # noqa: ARG005
    pool = Pool({"a": drawn(20, 12)})
    found = list(trials(pool, queries_by_picture(pool, False), [], 200, np.random.default_rng(0)))
    assert {len(trial.cosines) for trial in found} == {5}
    assert any(trial.copies.any() and trial.relevant.all() for trial in found)


def loss(rows: NDArray[np.float64], labels, importance, ridge: float, intercept: float, weights) -> float:
    logits = intercept + rows @ weights
    penalty = ridge * len(rows) / 2 * ((weights * np.maximum(rows.std(axis=0), 1e-9)) ** 2).sum()
    return float((importance * (np.logaddexp(0, logits) - labels * logits)).sum() + penalty)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 4))
def test_no_allowed_weights_are_better_than_those_fitted(seed: int, features: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(60, features)) * rng.uniform(0.1, 5, features) + rng.normal(size=features)
    labels = (rng.random(60) < 1 / (1 + np.exp(-rows @ rng.normal(size=features)))).astype(np.float64)
    importance = rng.uniform(0.5, 3, 60)
    free = rng.random(features) < 0.3
    intercept, weights = fit(rows, labels, importance, free, ridge=1e-2)
    assert (weights[~free] >= 0).all()
    best = loss(rows, labels, importance, 1e-2, intercept, weights)
    for scale in (1e-3, 1e-2, 0.1, 1):
        for _ in range(30):
            other = weights + scale * rng.normal(size=features) / rows.std(axis=0)
            other = np.where(free, other, np.maximum(other, 0))
            shift = scale * rng.normal()
            assert loss(rows, labels, importance, 1e-2, intercept + shift, other) >= best - 1e-6


def test_calibration_error_by_hand() -> None:
    said = np.array([0.05, 0.05, 0.95, 0.85, 1.0])
    relevant = np.array([False, True, True, False, True])
    assert reliability(said, relevant) == [
        (2, pytest.approx(0.05), 0.5),
        (1, pytest.approx(0.85), 0.0),
        (2, pytest.approx(0.975), 1.0),
    ]
    assert calibration_error(said, relevant) == pytest.approx((2 * 0.45 + 0.85 + 2 * 0.025) / 5)
    assert calibration_error(said[:0], relevant[:0]) is None
