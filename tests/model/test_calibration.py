"""One cutoff works across queries and collections: relevance says how likely a picture is what was asked for."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from model import load
from model.calibration import (
    Background,
    Calibration,
    Curve,
    Judge,
    Kind,
    Uncalibrated,
    measure,
    read_calibration,
    write_calibration,
)
from model.errors import ModelFolderError
from model.folder import CALIBRATION, read_folder
from model.picture import decode
from model.shards import read_shard

CLIP = Uncalibrated(scale=100, bias=0)
SIGLIP = Uncalibrated(scale=110, bias=-12)
SHIPPED = Path(__file__).parents[2] / "model/pretrained/pictogram"
DEMO = Path(__file__).parents[2] / "app/demo/twemoji.tar"
FITTED = Calibration.model_validate_json((SHIPPED / CALIBRATION).read_bytes())
COSINES = st.lists(st.floats(-1, 1, width=32), max_size=40).map(lambda values: np.array(values, np.float32))
NUMBERS = st.floats(-30, 30)
SLOPES = st.lists(st.floats(0, 100), min_size=3, max_size=3).map(tuple)


@st.composite
def curves(draw: st.DrawFn) -> Curve:
    return Curve(
        typical=Background(centre=draw(st.floats(-1, 1)), spread=draw(st.floats(0.01, 1)), tail=draw(NUMBERS)),
        knots=tuple(sorted(draw(st.lists(st.floats(-1, 1), min_size=3, max_size=3)))),
        few=draw(SLOPES),
        many=draw(SLOPES),
        standing=draw(st.floats(0, 10)),
        **{name: draw(NUMBERS) for name in ("size", "centre", "spread", "tail", "intercept")},
    )


@given(
    curve=curves(),
    cosines=COSINES,
    background=COSINES,
    size=st.integers(0, 10**9),
    kind=st.sampled_from(["text", "image"]),
)
def test_relevance_is_between_0_and_1_and_never_falls_while_the_cosine_grows(
    curve: Curve, cosines: NDArray[np.float32], background: NDArray[np.float32], size: int, kind: Kind
) -> None:
    drawn = Calibration(fingerprint="", data="", text=curve, image=curve)
    judges: tuple[Judge, ...] = (drawn, FITTED, CLIP, SIGLIP, Uncalibrated(0, 0))
    for judge in judges:
        relevances = judge.probability(kind, np.sort(cosines), background, size)
        assert relevances.shape == cosines.shape
        assert ((relevances >= 0) & (relevances <= 1)).all()
        assert (np.diff(relevances) >= -1e-9).all()


@given(curve=curves(), cosine=st.floats(-1, 1), background=COSINES, size=st.integers(1, 10**9))
def test_a_curve_is_the_sum_that_its_fields_describe(
    curve: Curve, cosine: float, background: NDArray[np.float32], size: int
) -> None:
    share = min(math.log(size) / math.log(1e6), 1)
    told = measure(background, curve.typical)
    logit = curve.intercept + curve.size * math.log(size) + curve.tail * told.tail
    logit += curve.centre * told.centre + curve.spread * math.log(told.spread)
    logit += curve.standing * (cosine - told.centre) / told.spread
    for knot, few, many in zip(curve.knots, curve.few, curve.many, strict=True):
        if cosine > knot:
            logit += (few * (1 - share) + many * share) * (cosine - knot)
    (said,) = curve.probability(np.array([cosine]), background, size)
    assert said == pytest.approx(1 / (1 + math.exp(-min(max(logit, -50), 50))), rel=1e-6, abs=1e-12)


def test_a_background_is_told_from_the_pictures_that_have_nothing_to_do_with_the_query() -> None:
    rng = np.random.default_rng(0)
    unrelated = rng.normal(0.2, 0.03, 20_000)
    plain = measure(unrelated)
    assert plain.centre == pytest.approx(0.2, abs=0.002)
    assert plain.spread == pytest.approx(0.03, rel=0.05)
    assert plain.tail == pytest.approx(2.33, abs=0.1)
    beside_matches = measure(np.concatenate([unrelated, rng.normal(0.35, 0.01, 3000)]))
    assert beside_matches.centre == pytest.approx(0.2, abs=0.01)
    assert beside_matches.spread == pytest.approx(0.03, rel=0.15)
    assert beside_matches.tail > 4


def collection(centre: float, spread: float, count: int = 1000) -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(centre, spread, count).astype(np.float32)


@pytest.mark.parametrize(("centre", "spread"), [(0.10, 0.03), (0.20, 0.02), (0.25, 0.03)])
def test_without_a_calibration_a_picture_is_judged_by_how_far_it_stands_out(centre: float, spread: float) -> None:
    """0.34 stands out for a query whose other cosines are about 0.1; for another one, 0.34 is nothing."""
    background = collection(centre, spread)
    match, other = np.float32(centre + 9 * spread), np.float32(centre + 3 * spread)
    relevances = CLIP.probability("text", np.array([match, other], np.float32), background, 1000)
    assert relevances[0] > 0.9
    assert relevances[1] < 0.1
    assert not (CLIP.probability("text", background, background, 1000) > 0.5).any()


@pytest.mark.parametrize("judge", [FITTED, CLIP], ids=["fitted", "guessed"])
@pytest.mark.parametrize("kind", ["text", "image"])
def test_the_same_cosine_says_less_in_a_larger_collection(judge: Judge, kind: Kind) -> None:
    background = collection(0.0, 0.09)
    said = [judge.probability(kind, np.array([0.4]), background, size)[0] for size in (50, 1000, 30_000, 1_000_000)]
    assert said == sorted(said, reverse=True)
    assert said[0] > 3 * said[-1]


def test_in_a_gallery_of_a_few_pictures_all_of_them_can_be_what_is_meant() -> None:
    """All pictures of five are cats: then nothing stands out, but by what is usual for models."""
    for count in (1, 2, 5):
        cats = np.full(count, 0.31, np.float32)
        assert (CLIP.probability("text", cats, cats, count) > 0.5).all()
        cars = np.full(count, 0.17, np.float32)
        assert (CLIP.probability("text", cars, cars, count) < 0.3).all()
    three = np.array([0.33, 0.16, 0.14], np.float32)
    assert ((CLIP.probability("text", three, three, 3) > 0.5) == [True, False, False]).all()


def test_a_model_trained_with_sigmoids_says_itself_which_texts_match() -> None:
    nothing = np.empty(0, np.float32)
    said = SIGLIP.probability("text", np.array([0.13, 0.05]), nothing, 1)
    np.testing.assert_allclose(said, 1 / (1 + np.exp(-(110 * np.array([0.13, 0.05]) - 12))))
    for kind, cosine in (("image", 0.9), ("image", 0.4)):
        assert SIGLIP.probability(kind, np.array([cosine]), nothing, 1) == CLIP.probability(
            kind, np.array([cosine]), nothing, 1
        )


# The file


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The shipped folder, without what takes room."""
    for file in SHIPPED.rglob("*"):
        if file.is_file() and file.parent.name != "evaluation":
            target = tmp_path / "model" / file.relative_to(SHIPPED)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(file)
    (tmp_path / "model" / CALIBRATION).unlink()
    return tmp_path / "model"


def test_a_calibration_comes_back_as_it_was_written(tmp_path: Path) -> None:
    write_calibration(tmp_path, FITTED)
    assert read_calibration(tmp_path, FITTED.fingerprint) == FITTED
    assert read_calibration(tmp_path / "elsewhere", FITTED.fingerprint) is None


def test_the_calibration_is_part_of_the_folder_and_not_of_what_makes_its_vectors(copy: Path) -> None:
    before = read_folder(copy).fingerprint
    assert isinstance(load(copy, threads=1).calibration, Uncalibrated)
    write_calibration(copy, FITTED)
    assert read_folder(copy).fingerprint == before == FITTED.fingerprint
    assert load(copy, threads=1).calibration == FITTED


def test_a_calibration_of_another_model_is_left_out_with_a_warning(
    copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_calibration(copy, FITTED.model_copy(update={"fingerprint": "another"}))
    with caplog.at_level(logging.WARNING):
        assert isinstance(load(copy, threads=1).calibration, Uncalibrated)
    assert "--calibrate" in caplog.text


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        ({"text": {**FITTED.text.model_dump(), "standing": -1}}, "text.standing"),
        ({"text": {**FITTED.text.model_dump(), "few": [1.0]}}, "knots"),
        ({"text": {**FITTED.text.model_dump(), "size": "NaN"}}, "text.size"),
        ({"threshold": 0.5}, "threshold"),
    ],
    ids=["a slope that falls", "a slope short", "no number", "an unknown field"],
)
def test_a_damaged_calibration_is_refused_with_what_is_wrong(tmp_path: Path, damage: object, word: str) -> None:
    said = {**FITTED.model_dump(), **damage}  # type: ignore[dict-item]
    (tmp_path / CALIBRATION).write_text(json.dumps(said))
    with pytest.raises(ModelFolderError, match=word):
        read_calibration(tmp_path, FITTED.fingerprint)


def test_a_curve_whose_slopes_fall_cannot_be_made() -> None:
    with pytest.raises(ValidationError, match="few"):
        Curve.model_validate({**FITTED.text.model_dump(), "few": [-1.0] * len(FITTED.text.knots)})


# The shipped model


def test_the_shipped_calibration_is_of_the_shipped_model_and_keeps_what_it_states() -> None:
    """As measured on the half of the held-out concepts that it was not fitted on."""
    fingerprint = read_folder(SHIPPED).fingerprint
    worth = json.loads((SHIPPED / "evaluation/calibration.json").read_text("utf-8"))
    assert FITTED.fingerprint == worth["fingerprint"] == fingerprint
    for kind in ("text", "image"):
        assert worth[kind]["calibration_error_above_0.05"] < 0.05
        for threshold in ("0.5", "0.8"):
            assert worth[kind][threshold]["precision"] >= float(threshold)
        assert worth[kind]["0.8"]["matchless_answered_with_nothing"] > 0.95
        for group, part in worth[kind]["groups"].items():
            assert part["0.5"]["precision"] >= 0.5, group


def test_a_birthday_cake_is_a_birthday_cake_and_a_crown_is_not() -> None:
    """In the demo gallery, whose 1,900 drawings have one cake; a crown is the next, being round and tiered, too."""
    samples = list(read_shard(DEMO))
    chosen = [s for place, s in enumerate(samples) if place % 4 == 0 or s.caption in {"birthday cake", "crown"}]
    encoder = load(SHIPPED, threads=1)
    pictures = encoder.encode_images([decode(sample.picture).image for sample in chosen])

    def search(text: str) -> dict[str, float]:
        cosines = pictures @ encoder.encode_texts([text])[0]
        said = encoder.calibration.probability("text", cosines, cosines, len(samples))
        return {sample.caption: float(one) for sample, one in zip(chosen, said, strict=True)}

    relevance = search("birthday cake")
    assert max(relevance, key=lambda name: relevance[name]) == "birthday cake"
    assert relevance["birthday cake"] > 0.3
    assert relevance["crown"] < 0.1
    assert max(search("quantum physics").values()) < 0.3
