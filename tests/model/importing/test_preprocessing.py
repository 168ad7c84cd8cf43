"""Pictures are prepared as a checkpoint's own files say; what cannot be done that way is refused, not approximated."""

import json

import pytest

from model.errors import ForeignCheckpointError
from model.importing.preprocessing import CLIP_MEAN, CLIP_STD, read_preprocess_cfg, read_processor

OPENAI = {  # as in the folders of OpenAI's models
    "crop_size": 32, "do_center_crop": True, "do_normalize": True, "do_resize": True, "resample": 3, "size": 32,
    "feature_extractor_type": "CLIPFeatureExtractor", "image_mean": list(CLIP_MEAN), "image_std": list(CLIP_STD),
}  # fmt: skip
SIGLIP = {
    "do_resize": True, "do_rescale": True, "do_normalize": True, "rescale_factor": 1 / 255, "resample": 3,
    "size": {"height": 32, "width": 32}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
}  # fmt: skip


def read(tmp_path, values, siglip=False, file="preprocessor_config.json"):
    (tmp_path / file).write_text(json.dumps(values))
    config, assumptions, _ = read_processor(tmp_path, 32, siglip)
    return config, assumptions


@pytest.mark.parametrize(
    "sizes",
    [
        {},
        {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}},
    ],
    ids=["old", "new"],
)
def test_clips_crop_in_its_old_and_new_spelling(tmp_path, sizes):
    config, assumptions = read(tmp_path, OPENAI | sizes)
    assert (config.size, config.resize_mode, config.resample, config.crop_rounding) == (32, "crop", "bicubic", "down")
    assert (config.image_mean, config.image_std) == (CLIP_MEAN, CLIP_STD)
    assert all("do_rescale" in assumption or "rescale_factor" in assumption for assumption in assumptions)


def test_siglips_squash_and_the_second_ones_filter(tmp_path):
    config, assumptions = read(tmp_path, SIGLIP, siglip=True)
    assert (config.resize_mode, config.resample, config.image_mean) == ("squash", "bicubic", (0.5, 0.5, 0.5))
    assert not [assumption for assumption in assumptions if "do_center_crop" not in assumption]
    assert read(tmp_path, SIGLIP | {"resample": 2}, siglip=True)[0].resample == "bilinear"


def test_a_processor_within_the_processors_file(tmp_path):
    config, _ = read(tmp_path, {"image_processor": SIGLIP, "processor_class": "x"}, True, "processor_config.json")
    assert config.resize_mode == "squash"


def test_a_picture_that_is_stretched_and_then_cut(tmp_path):
    assert read(tmp_path, OPENAI | {"size": {"height": 32, "width": 32}})[0].resize_mode == "squash"


@pytest.mark.parametrize("siglip", [False, True])
def test_without_a_file_it_is_done_as_in_the_library_and_said(tmp_path, siglip):
    config, assumptions, files = read_processor(tmp_path, 32, siglip)
    assert config.size == 32
    assert config.resize_mode == ("squash" if siglip else "crop")
    assert files == ()
    assert "there is no preprocessor_config.json" in assumptions[0]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"do_resize": False}, "see do_resize"),
        ({"do_normalize": False, "do_rescale": False}, "see do_rescale, do_normalize"),
        ({"rescale_factor": 1}, "see rescale_factor"),
        ({"do_center_crop": False}, "any proportions"),
        ({"size": {"shortest_edge": 36}}, "size 36, crop_size 32, the image tower reads 32"),
        ({"size": 64, "crop_size": 64}, "size 64, crop_size 64"),
        ({"crop_size": {"height": 32, "width": 30}}, "the side of a square"),
        ({"image_mean": [0.5]}, "three numbers"),
    ],
)
def test_other_preparations_are_refused(tmp_path, changes, complaint):
    with pytest.raises(ForeignCheckpointError, match=complaint):
        read(tmp_path, OPENAI | changes)


def test_another_filter_is_refused(tmp_path):
    with pytest.raises(ForeignCheckpointError, match="resample: Input should be"):
        read(tmp_path, OPENAI | {"resample": 1})


def test_open_clips_config_and_its_defaults():
    config = read_preprocess_cfg({}, "there", 32, siglip=False)
    assert (config.resize_mode, config.crop_rounding, config.image_mean) == ("crop", "even", CLIP_MEAN)
    assert read_preprocess_cfg({}, "there", 32, siglip=True).resize_mode == "squash"
    grey = read_preprocess_cfg({"resize_mode": "longest", "fill_color": 7, "size": [32, 32]}, "there", 32, siglip=False)
    assert (grey.resize_mode, grey.pad_color) == ("pad", (7, 7, 7))


@pytest.mark.parametrize(
    "values", [{"resize_mode": "random"}, {"size": 64}, {"mode": "L"}, {"interpolation": "random"}]
)
def test_what_open_clip_may_say_and_nothing_here_does_is_refused(values):
    with pytest.raises(ForeignCheckpointError):
        read_preprocess_cfg(values, "there", 32, siglip=False)


def test_the_processor_of_patches_squashes_here(tmp_path):
    values = {key: value for key, value in SIGLIP.items() if key not in {"size", "resample"}}
    named = {"image_processor_type": "Siglip2ImageProcessor", "max_num_patches": 16, "patch_size": 8}
    config, _ = read(tmp_path, values | named, siglip=True)
    assert (config.size, config.resize_mode, config.resample) == (32, "squash", "bilinear")
