"""Whatever computes the vectors, they are the same vectors."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from model import load
from model.__main__ import main
from model.errors import ModelFolderError, ParallaxError
from model.export import export_onnx
from model.folder import ONNX_TEXT, WEIGHTS, read_folder
from model.precision import FLOAT32
from tests.model.tiny import TEXTS, TOWERS, WORDS, folder

# image tower: text tower, each at least once
MODELS = {
    "vit": "lstm",
    "vit-clip": "clip",
    "vit-mean": "mean",
    "vit-map": "siglip",
    "resnet": "mean",
    "hybrid": "mean",
    "modified_resnet": "gru",
}


@pytest.fixture(scope="module", params=MODELS.items(), ids="-and-".join)
def exported(request, tmp_path_factory) -> Path:
    vision, text = request.param
    made = folder(tmp_path_factory.mktemp(vision), TOWERS[vision], TEXTS[text])
    export_onnx(made, precisions=[FLOAT32])
    return made.path


def pictures(n: int) -> list[Image.Image]:
    rng = np.random.default_rng(0)
    shapes = rng.integers(4, 60, (n, 2))
    return [Image.fromarray(rng.integers(0, 256, (*shape, 3), dtype=np.uint8)) for shape in shapes]


def test_onnx_equals_torch(exported):
    fast, reference = load(exported, "onnx", threads=1), load(exported, "torch", threads=1)
    np.testing.assert_allclose(fast.encode_images(pictures(5)), reference.encode_images(pictures(5)), atol=1e-5)
    np.testing.assert_allclose(fast.encode_texts(WORDS), reference.encode_texts(WORDS), atol=1e-5)
    assert (fast.logit_scale, fast.logit_bias) == pytest.approx((reference.logit_scale, reference.logit_bias))
    assert (fast.dim, fast.fingerprint, fast.name) == (8, reference.fingerprint, "tiny")


@pytest.mark.parametrize("runtime", ["onnx", "torch"])
def test_many_inputs_equal_one_by_one(exported, runtime):
    encoder = load(exported, runtime, threads=1)
    many = pictures(70)
    vectors = encoder.encode_images(many)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(
        vectors[[0, 63, 64, 69]], np.concatenate([encoder.encode_images([many[i]]) for i in (0, 63, 64, 69)]), atol=1e-5
    )
    texts = [f"{WORDS[i % 6]} {'x' * (i % 9)}" for i in range(70)]
    np.testing.assert_allclose(encoder.encode_texts(texts)[66:67], encoder.encode_texts([texts[66]]), atol=1e-5)
    assert encoder.encode_images([]).shape == encoder.encode_texts([]).shape == (0, 8)


def test_every_tower_is_among_the_exported():
    assert (set(MODELS), set(MODELS.values())) == (set(TOWERS), set(TEXTS))


@pytest.mark.parametrize("text", ["mean", "siglip"])
def test_the_logit_scale_and_bias_are_those_of_the_file(tmp_path, text):
    """A scale beyond 100, where training stops it, is kept; only a model that has a bias has another than zero."""
    made = folder(tmp_path, TOWERS["vit"], TEXTS[text])
    weights = load_file(made.weights) | {"log_logit_scale": np.array(6, dtype=np.float32)}
    if text == "siglip":
        weights["logit_bias"] = np.array(-16.5, dtype=np.float32)
    save_file(weights, made.weights)
    export_onnx(read_folder(tmp_path), precisions=[FLOAT32])
    for runtime in ("torch", "onnx"):
        encoder = load(tmp_path, runtime, threads=1)
        assert encoder.logit_scale == pytest.approx(np.exp(6), rel=1e-6)
        assert encoder.logit_bias == (-16.5 if text == "siglip" else 0)


def test_a_weight_too_large_for_half_precision_is_exported_whole(tmp_path):
    made = folder(tmp_path, TOWERS["vit"])
    weights = load_file(made.weights)
    weights["image_projection.weight"] = weights["image_projection.weight"].astype(np.float32) * 1e6
    weights["text_projection.weight"] = weights["text_projection.weight"].astype(np.float32) * 1e6
    save_file(weights, made.weights)
    export_onnx(read_folder(tmp_path), precisions=[FLOAT32])
    fast, reference = load(tmp_path, "onnx", threads=1), load(tmp_path, "torch", threads=1)
    np.testing.assert_allclose(fast.encode_images(pictures(2)), reference.encode_images(pictures(2)), atol=1e-5)


def test_a_model_too_large_for_onnx_files_is_not_half_exported(tmp_path, monkeypatch):
    monkeypatch.setattr("model.exporting.storage._LARGEST", 10_000)
    with pytest.raises(ParallaxError, match="would be larger than 2 GiB"):
        export_onnx(folder(tmp_path), precisions=[FLOAT32])
    assert load(tmp_path).runtime == "torch"


def test_a_stale_export_is_refused(tmp_path):
    export_onnx(folder(tmp_path), precisions=[FLOAT32])
    weights = load_file(tmp_path / WEIGHTS)
    weights["text_projection.weight"] = weights["text_projection.weight"] * 2
    save_file(weights, tmp_path / WEIGHTS)
    with pytest.raises(ModelFolderError, match="exported from other weights"):
        load(tmp_path)


def test_a_broken_or_missing_export_says_what_to_do(tmp_path):
    made = folder(tmp_path)
    with pytest.raises(ModelFolderError, match="python -m model export"):
        load(tmp_path, "onnx")
    export_onnx(made, precisions=[FLOAT32])
    (tmp_path / ONNX_TEXT).write_bytes(b"nonsense")
    with pytest.raises(ModelFolderError, match=r"text\.onnx cannot be loaded"):
        load(tmp_path)


@pytest.mark.parametrize("exported", [("vit-clip", "clip")], indirect=True, ids=["vit-clip-and-clip"])
def test_an_exported_model_needs_no_torch(exported):
    code = (
        "import sys; from model import load\n"
        f"encoder = load({str(exported)!r}); encoder.encode_texts(['a'])\n"
        "assert encoder.runtime == 'onnx' and 'torch' not in sys.modules, 'torch was imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("exported", [("vit-clip", "clip")], indirect=True, ids=["vit-clip-and-clip"])
def test_signals_are_survived_after_models_were_let_go(exported):
    """Freed in the order they were made, two runtimes of the library once left a signal stack that was unmapped."""
    code = (
        "import gc, signal, sys\n"
        "from model import load\n"
        "for _ in range(2): load(sys.argv[1], 'onnx', threads=1); gc.collect()\n"
        "signal.signal(signal.SIGUSR1, lambda *_: print('handled'))\n"
        "signal.raise_signal(signal.SIGUSR1)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(exported)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "handled\n")


def test_info_says_what_a_person_needs(exported, capsys):
    assert main(["info", str(exported), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    total = sum(array.size for array in load_file(exported / WEIGHTS).values())
    assert said["parameters"]["total"] == total
    assert said["embedding_dim"] == 8
    assert said["fingerprint"] == load(exported).fingerprint
    assert all(told.startswith("float32 (cosine") for told in said["runtime_precision"].values())
    assert main(["info", str(exported)]) == 0
    assert "fingerprint" in capsys.readouterr().out


def test_commands_fail_clearly(tmp_path, capsys):
    assert main(["info", str(tmp_path)]) == 1
    assert "is not a model folder" in capsys.readouterr().err
    with pytest.raises(SystemExit) as misuse:
        main(["info"])
    assert misuse.value.code == 2


def test_export_command(tmp_path, capsys):
    folder(tmp_path)
    assert main(["export", str(tmp_path), "--json"]) == 0
    assert all(Path(path).is_file() for path in json.loads(capsys.readouterr().out)["written"])
    assert load(tmp_path).runtime == "onnx"
