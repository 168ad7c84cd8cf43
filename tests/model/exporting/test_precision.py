"""The fast runtime rounds where it can afford it: never so that a search would notice, and never by what is beside."""

import json

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from model import load
from model.__main__ import main
from model.config import TextConfig, ViTConfig
from model.export import agreement, export_onnx
from model.exporting import samples
from model.exporting.samples import samples_for
from model.folder import ONNX_PRECISION, read_folder
from model.precision import FLOAT32, PRECISIONS, read_precisions
from tests.model.tiny import CONTEXT, EOT, SIZE, VOCABULARY, WORDS, folder

TOLERANCES = {"int8": 0.998, "int8-mixed": 0.998, "bfloat16": 0.999, "float32": 1 - 1e-6}
"""The smallest cosine to float32 that a random model of some width may have."""
VISION = ViTConfig(image_size=SIZE, patch_size=4, width=128, layers=2, heads=2, input_norm=True, patch_bias=False)
TEXT = TextConfig(
    vocab_size=VOCABULARY, context_length=CONTEXT, width=128, layers=2, heads=2, attention="causal",
    pooling="first_eot", eot_id=EOT,
)  # fmt: skip


def rows(n: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, 3, SIZE, SIZE), dtype=np.float32)


@pytest.fixture(scope="module", params=PRECISIONS, ids=lambda precision: precision.name)
def exported(request, tmp_path_factory):
    made = folder(tmp_path_factory.mktemp("model"), VISION, TEXT)
    export_onnx(made, precisions=[request.param])
    return request.param.name, made.path


def test_every_precision_agrees_with_torch_as_far_as_stated(exported):
    name, path = exported
    fast, reference = load(path, "onnx", threads=1), load(path, "torch", threads=1)
    for found, right in (
        (fast.encode_pixels(rows(20)), reference.encode_pixels(rows(20))),
        (fast.encode_texts(WORDS), reference.encode_texts(WORDS)),
    ):
        assert (found * right).sum(axis=1).min() >= TOLERANCES[name]


def test_a_vector_does_not_depend_on_the_rest_of_its_batch(exported):
    """A scale shared by the batch would be ruled by its largest numbers: the others would be rounded to nothing."""
    encoder = load(exported[1], "onnx", threads=1)
    quiet = rows(5)
    loud = np.concatenate([quiet, 1000 * rows(3)])
    np.testing.assert_allclose(encoder.encode_pixels(loud)[:5], encoder.encode_pixels(quiet), atol=2e-6)
    np.testing.assert_allclose(encoder.encode_pixels(quiet)[2:3], encoder.encode_pixels(quiet[2:3]), atol=2e-6)
    together = encoder.encode_texts(WORDS)
    np.testing.assert_allclose(together, np.concatenate([encoder.encode_texts([one]) for one in WORDS]), atol=2e-6)


def test_a_model_that_quantises_badly_falls_back_and_says_so(tmp_path, capsys):
    """One weight that meets only zeros, and so large that its neighbours are nothing beside it in int8."""
    made = folder(tmp_path, VISION, TEXT)
    weights = load_file(made.weights)
    for part in ("expand.weight", "expand.bias", "contract.weight"):
        key = f"image_tower.encoder.blocks.1.mlp.{part}"
        weights[key] = weights[key].astype(np.float32)
    weights["image_tower.encoder.blocks.1.mlp.expand.bias"][0] = -1e3
    weights["image_tower.encoder.blocks.1.mlp.contract.weight"][:, 0] = 1e3
    weights["image_tower.encoder.blocks.1.mlp.contract.weight"][:, 1:] *= 20
    save_file(weights, made.weights)
    made = read_folder(tmp_path)
    assert main(["export", str(tmp_path)]) == 0
    assert "the image tower does not bear int8 (cosine" in capsys.readouterr().err
    chosen = read_precisions(tmp_path, made.fingerprint).image
    assert chosen.precision != "int8"
    assert not chosen.measured["int8"].suffices
    assert list(chosen.measured)[-1] == chosen.precision
    fast, reference = load(tmp_path, "onnx", threads=1), load(tmp_path, "torch", threads=1)
    assert (fast.encode_pixels(rows(9)) * reference.encode_pixels(rows(9))).sum(axis=1).min() >= 0.999
    assert main(["info", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["runtime_precision"]["image"].startswith(chosen.precision)


@pytest.mark.parametrize("precision", [PRECISIONS[0], FLOAT32], ids=lambda precision: precision.name)
@pytest.mark.parametrize("able", [True, False])
def test_a_processor_without_bfloat16_says_that_it_has_not_measured_it(tmp_path, monkeypatch, precision, able):
    monkeypatch.setattr("model.export.computes_in_bfloat16", lambda: able)
    _, notes = export_onnx(folder(tmp_path), precisions=[precision])
    told = any("does not compute in bfloat16" in note for note in notes)
    assert told == (not able and precision is not FLOAT32)


def test_pictures_of_ones_own_are_measured_with(tmp_path, capsys):
    made = folder(tmp_path / "model")
    own = tmp_path / "holidays"
    own.mkdir()
    (own / "notes.txt").write_text("no picture")
    assert main(["export", str(made.path), "--calibration", str(own)]) == 1
    assert "holidays has 0 pictures" in capsys.readouterr().err
    for number, row in enumerate(np.random.default_rng(0).integers(0, 256, (24, 20, 30, 3), dtype=np.uint8)):
        Image.fromarray(row).save(own / f"{number}.png")
    export_onnx(made, own, precisions=[FLOAT32])
    chosen = read_precisions(made.path, made.fingerprint)
    assert (chosen.pictures, chosen.source) == (24, "holidays")
    with pytest.raises(SystemExit):
        main(["export", str(made.path), "--format", "huggingface", "--calibration", str(own)])


def test_of_many_pictures_some_are_taken_from_everywhere(tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "_MOST", 20)
    (tmp_path / "own").mkdir()
    for number in range(39):
        Image.new("RGB", (4, 4), (number, 0, 0)).save(tmp_path / "own" / f"{number:02}.png")
    taken = samples_for(folder(tmp_path / "model"), tmp_path / "own").pixels[:, 0, 0, 0]
    assert len(taken) == 20
    assert (np.diff(taken) > 0).all()
    step = (taken[-1] - taken[0]) / 38
    assert np.allclose(np.diff(taken), 2 * step, atol=step / 10)


def test_what_was_measured_of_other_weights_is_not_told(tmp_path):
    made = folder(tmp_path)
    export_onnx(made, precisions=[FLOAT32])
    told = json.loads((tmp_path / ONNX_PRECISION).read_text()) | {"fingerprint": "0" * 64}
    (tmp_path / ONNX_PRECISION).write_text(json.dumps(told))
    assert read_precisions(tmp_path, made.fingerprint) is None


def test_agreement_equals_counting_by_hand():
    dice = np.random.default_rng(0)
    right = dice.standard_normal((30, 8)).astype(np.float32)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    found = right + dice.normal(0, 0.1, right.shape).astype(np.float32)
    found /= np.linalg.norm(found, axis=1, keepdims=True)

    def nearest(vectors, one):
        others = [other for other in range(30) if other != one]
        return set(sorted(others, key=lambda other: -float(vectors[one] @ vectors[other]))[:10])

    shared = [len(nearest(found, one) & nearest(right, one)) / 10 for one in range(30)]
    told = agreement(found, right, found, right)
    assert told.overlap == pytest.approx(np.mean(shared))
    assert told.cosine == pytest.approx(min(float(found[one] @ right[one]) for one in range(30)))
    assert agreement(right, right, right, right).suffices
