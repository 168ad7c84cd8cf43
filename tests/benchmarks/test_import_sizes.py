"""The benchmark of imports measures what it says, on models of a size at which nobody waits."""

import json

import pytest

from benchmarks.import_sizes import (
    LARGEST_RATIO,
    Measure,
    Published,
    as_huggingface,
    as_open_clip_pickle,
    as_openai_archive,
    main,
    measure,
    published,
)
from tests.model import tiny
from tests.model.importing.checkpoints import RESNET, TEXT, VIT, clip


def small(name):
    """A model with CLIP's own vocabulary, which the command finds by itself, or a SigLIP."""
    text = TEXT.model_copy(update={"vocab_size": 49408, "eot_id": 49407, "context_length": 77})
    match name:
        case "archive":
            return Published(
                clip(RESNET, text.model_copy(update={"width": 128, "heads": 2})), "archive", as_openai_archive
            )
        case "siglip":
            vision = tiny.TOWERS["vit-map"]
            config = tiny.config(vision, tiny.TEXTS["siglip"]).model_dump()
            siglip = config | {"embedding_dim": vision.width, "image_projection": "none"}
            return Published(clip().model_validate(siglip), "folder", as_huggingface)
        case _:
            return Published(clip(VIT, text, name="ViT"), "folder", as_huggingface)


@pytest.mark.parametrize("name", ["clip", "siglip", "archive"])
def test_a_small_model_is_written_imported_and_measured(tmp_path, name):
    main(["--out", str(tmp_path / "report.json")], {name: small(name)})
    (taken,) = json.loads((tmp_path / "report.json").read_text())["measures"]
    assert taken["seconds"] > 0
    assert taken["peak_bytes"] > 10 * 2**20
    assert taken["ratio"] == pytest.approx(taken["peak_bytes"] / taken["file_bytes"])


@pytest.mark.slow
@pytest.mark.parametrize("name", published())
def test_an_import_of_real_size_takes_little_more_memory_than_its_file(name):
    assert measure(published()[name]).ratio <= LARGEST_RATIO


def test_what_takes_too_much_is_not_kept():
    fine = {"name": "", "form": "", "file_bytes": 10, "seconds": 60.0, "peak_bytes": 25}
    assert Measure(**fine).kept
    assert not Measure(**fine | {"peak_bytes": 26}).kept
    assert not Measure(**fine | {"seconds": 60.1}).kept


def test_the_models_are_of_real_size():
    millions = {"ViT-B-32": 151, "ViT-B-16": 150, "ViT-L-14": 428, "RN50": 102, "ViT-B-16-SigLIP": 203}
    import math

    from model.layouts import openai

    for name, model in published().items():
        count = sum(math.prod(rule.shape) for rule in openai.rules(model.config, ""))
        assert round(count / 1e6) == millions[name], name
    assert as_open_clip_pickle in {model.write for model in published().values()}
