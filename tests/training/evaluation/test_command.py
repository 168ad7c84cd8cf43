"""`python -m training evaluate` says the same on the screen, in its files and in its plots."""

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.training.conftest import SAMPLE
from training.__main__ import main

SHIPPED = Path(__file__).parents[3] / "model" / "pretrained" / "pictogram"


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("evaluation")


def test_every_file_that_is_promised_is_written(out, capsys):
    arguments = ["evaluate", SHIPPED, SAMPLE, "--gallery", SAMPLE / "train", "--out", out, "--json"]
    assert main([str(argument) for argument in arguments]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == json.loads((out / "result.json").read_text("utf-8"))
    train, validation = said["splits"]["train"], said["splits"]["validation"]
    assert validation["concepts"] == validation["text_to_picture"]["queries"] == 50
    assert train["picture_to_gallery"]["R@1"] == 1.0, "every picture finds itself in its own gallery"
    assert set(train["styles"]) == {"noto", "noto-v1", "fluent-emoji-flat"}
    assert validation["zero_shot"]["classes"] == 50
    low, high = validation["text_to_picture"]["intervals"]["R@1"]
    assert low <= validation["text_to_picture"]["R@1"] <= high
    markdown = (out / "result.md").read_text("utf-8")
    assert "| validation | text → picture | 50 |" in markdown
    assert "## train, by style" in markdown
    for name in ("recall.png", "slices.png", "distributions.png"):
        with Image.open(out / name) as plot:
            assert plot.width > 500, name
    sheet = (out / "sheet.html").read_text("utf-8")
    assert sheet.count("<section") == 2
    assert "data:image/webp;base64," in sheet


def test_what_cannot_be_evaluated_is_said_in_a_sentence(tmp_path, capsys):
    assert main(["evaluate", str(SHIPPED), str(tmp_path)]) == 1
    assert "Looked in it for" in capsys.readouterr().err
    assert main(["evaluate", str(SHIPPED), str(SAMPLE / "validation"), "--languages", "xx"]) == 1
    assert "has a label in 'xx'" in capsys.readouterr().err
    (tmp_path / "templates.txt").write_text("a photo\n")
    arguments = ["evaluate", str(SHIPPED), str(SAMPLE), "--templates", str(tmp_path / "templates.txt")]
    assert main(arguments) == 1
    assert "each with one {} for the name" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_named_before_anything_is_measured(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("training.evaluation.evaluate.measure", lambda *_, **__: pytest.fail("it was measured"))
    (tmp_path / "file").touch()
    arguments = ["evaluate", str(SHIPPED), str(SAMPLE), "--out", str(tmp_path / "file")]
    assert main(arguments) == 1
    assert capsys.readouterr().err.endswith(f"{tmp_path / 'file'}: File exists\n")


def test_an_environment_for_serving_says_what_is_missing(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "training.evaluation.report", raising=False)
    assert main(["evaluate", str(SHIPPED), str(SAMPLE)]) == 1
    assert "This needs matplotlib, which is installed for training: `make setup`." in capsys.readouterr().err
