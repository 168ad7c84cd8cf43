"""A mistake in config.json is an error that names it, not a model that quietly differs."""

import pytest
from pydantic import ValidationError

from model.config import ModelConfig, PreprocessConfig
from tests.model.tiny import TEXTS, TOWERS, config, preprocess


@pytest.mark.parametrize("tower", TOWERS.values(), ids=TOWERS.keys())
def test_a_config_survives_its_file(tower):
    assert ModelConfig.model_validate_json(config(tower).model_dump_json()) == config(tower)
    assert PreprocessConfig.model_validate_json(preprocess().model_dump_json()) == preprocess()


@pytest.mark.parametrize("tower", TEXTS.values(), ids=TEXTS.keys())
def test_a_text_tower_survives_its_file(tower):
    made = config(text=tower)
    assert ModelConfig.model_validate_json(made.model_dump_json()) == made


@pytest.mark.parametrize(
    ("path", "change", "complaint"),
    [
        ("", {"typo": 1}, "typo"),
        ("", {"embedding_dim": 0}, "embedding_dim"),
        ("vision", {"kind": "lstm"}, "lstm"),
        ("vision", {"kind": "vit", "heads": 3}, "16 is not divisible"),
        ("vision", {"kind": "vit", "patch_size": 17}, "patch_size 17 is larger than image_size 16"),
        ("vision", {"kind": "vit", "class_token": False}, "needs class_token"),
        ("vision", {"kind": "vit", "activation": "swish"}, "activation"),
        ("vision", {"kind": "resnet", "stage_depths": [1, 1, 1]}, "differ in length"),
        ("vision", {"kind": "modified_resnet", "image_size": 50}, "50 is not a multiple of 32"),
        ("vision", {"kind": "modified_resnet", "width": 3}, "multiple of 2"),
        ("vision", {"kind": "modified_resnet", "heads": 5}, "not divisible by 5 heads"),
        ("text", {"kind": "rnn"}, "rnn"),
        ("text", {"kind": None}, "text"),
        ("text", {"pooling": "first_eot"}, "eot_id goes with"),
        ("text", {"eot_id": 2}, "eot_id goes with"),
        ("text", {"pooling": "first_eot", "eot_id": 300}, "eot_id 300 is not below vocab_size 300"),
        ("text", {"pooling": "last"}, 'need tokenization.padding "context"'),
        ("text", {"attends_padding": True}, 'need tokenization.padding "context"'),
        ("text", {"kind": "gru", "width": 15}, "15 is odd"),
        ("tokenization", {"pad_id": 300}, "pad_id 300 is not below vocab_size 300"),
        ("", {"image_projection": "none"}, "its feature is 16, embedding_dim is 8"),
        ("", {"text_projection": "none"}, "its feature is 16, embedding_dim is 8"),
    ],
)
def test_a_wrong_value_is_named(path, change, complaint):
    made = config()
    if path == "vision":
        made = config(TOWERS.get(change["kind"], made.vision))
    if path == "text":
        made = config(text=TEXTS.get(change.get("kind"), made.text))
    tree = made.model_dump()
    (tree[path] if path else tree).update(change)
    with pytest.raises(ValidationError, match=complaint):
        ModelConfig.model_validate(tree)


def test_a_tower_as_wide_as_the_embedding_needs_no_projection():
    tree = config(TOWERS["modified_resnet"]).model_dump()
    ModelConfig.model_validate(tree | {"embedding_dim": 16, "image_projection": "none", "text_projection": "none"})


@pytest.mark.parametrize("pooling", ["mean", "first_eot"])
def test_a_causal_tower_never_reads_its_padding(pooling):
    """It stands behind the text: a batch may be as long as its longest text, whatever a checkpoint says of masks."""
    tree = config().model_dump()
    tree["text"] |= {"attention": "causal", "attends_padding": True, "pooling": pooling}
    tree["text"]["eot_id"] = 2 if pooling == "first_eot" else None
    assert not ModelConfig.model_validate(tree).text.reads_padding
