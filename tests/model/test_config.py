"""A mistake in config.json is an error that names it, not a model that quietly differs."""

import pytest
from pydantic import ValidationError

from model.config import ModelConfig, PreprocessConfig
from tests.model.tiny import TOWERS, config, preprocess


@pytest.mark.parametrize("tower", TOWERS.values(), ids=TOWERS.keys())
def test_a_config_survives_its_file(tower):
    assert ModelConfig.model_validate_json(config(tower).model_dump_json()) == config(tower)
    assert PreprocessConfig.model_validate_json(preprocess().model_dump_json()) == preprocess()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"typo": 1}, "typo"),
        ({"embedding_dim": 0}, "embedding_dim"),
        ({"text": {"width": 10, "layers": 1, "heads": 3, "vocab_size": 9, "context_length": 9}}, "10 is not divisible"),
        (
            {"vision": {"kind": "vit", "image_size": 50, "patch_size": 8, "width": 8, "layers": 1, "heads": 1}},
            "50 is not",
        ),
        (
            {
                "vision": {
                    "kind": "resnet",
                    "image_size": 9,
                    "stem_width": 8,
                    "stage_widths": [8],
                    "stage_depths": [1, 1],
                }
            },
            "differ in length",
        ),
        ({"vision": {"kind": "lstm"}}, "lstm"),
    ],
)
def test_a_wrong_value_is_named(change, complaint):
    with pytest.raises(ValidationError, match=complaint):
        ModelConfig.model_validate(config().model_dump() | change)
