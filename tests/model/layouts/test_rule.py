"""A tensor that goes there comes back as it was, and every one that does not fit is named at once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.clip import CLIP
from model.errors import ForeignCheckpointError
from model.layouts import huggingface, openai
from model.layouts.rule import Rule, convert, reshaped, revert, same, stacked, transposed
from tests.model import tiny

sides = st.integers(1, 5)


@st.composite
def rules(draw):
    """A rule of any kind."""
    one, other = draw(sides), draw(sides)
    names = tuple(f"here{index}" for index in range(draw(sides)))
    return draw(
        st.sampled_from(
            [
                same("there", "here", (one, other)),
                same("there", "here", ()),
                transposed("there", "here", (one, other)),
                reshaped("there", "here", (one,), (1, 1, one)),
                stacked("there", names, (one, other)),
                stacked("there", names, (one,)),
                Rule("there", (one, 4 * 3), ("here",), (one, 3, 2, 2), (one, 2, 2, 3), (0, 3, 1, 2)),
            ]
        )
    )


@given(rule=rules())
def test_there_and_back(rule):
    array = np.arange(np.prod(rule.shape, dtype=int), dtype=np.float32).reshape(rule.shape)
    parts = rule.parts(array)
    assert [part.shape for part in parts] == [rule.part] * len(rule.here)
    assert all(part.base is not None for part in parts), "a copy, where a view would do"
    np.testing.assert_array_equal(rule.whole(parts), array)
    weights = convert([rule], {"there": array})
    np.testing.assert_array_equal(revert([rule], weights)["there"], array)


def test_a_patch_that_lies_flat_is_put_up(tmp_path):
    """The three channels of a pixel stand together there, the rows of a channel here."""
    rule = Rule("there", (1, 12), ("here",), (1, 3, 2, 2), (1, 2, 2, 3), (0, 3, 1, 2))
    (kernel,) = rule.parts(np.arange(12.0).reshape(1, 12))
    pixel = kernel[0, :, 0, 1]
    np.testing.assert_array_equal(pixel, [3, 4, 5])


def test_all_that_does_not_fit_is_in_one_error():
    table = [same("a", "x", (2,)), same("b", "y", (2,)), same("c", "z", (2,)), same("d", "w", ())]
    tensors = {
        "b": np.zeros(3, dtype=np.float32),
        "c": np.zeros(2, dtype=np.int8),
        "d": np.zeros((1,), dtype=np.float32),
        "e": np.zeros(1, dtype=np.float32),
        "f": np.zeros(1, dtype=np.float32),
    }
    with pytest.raises(ForeignCheckpointError) as caught:
        convert(table, tensors, ignored=lambda name: name == "f")
    for part in ("missing (1): a;", "unknown (1): e;", "misshapen (1): b is (3,) instead of (2,);", "c (int8)"):
        assert part in str(caught.value)
    assert "d is" not in str(caught.value)


def test_a_tensor_without_a_rule_is_never_left_out_in_silence():
    with pytest.raises(ValueError, match="no rule for stray"):
        revert([same("a", "x", ())], {"x": np.zeros(()), "stray": np.zeros(())})


@pytest.mark.parametrize("vision", ["vit-clip", "vit-mean", "vit-map", "modified_resnet"])
@pytest.mark.parametrize("text", ["clip", "siglip", "mean"])
def test_the_rules_name_every_tensor_of_a_model(vision, text):
    """What a table leaves out would keep the random values that it started with."""
    tower = tiny.TOWERS[vision]
    config = tiny.config(tower, tiny.TEXTS[text])
    has_projection = vision not in {"vit-map", "modified_resnet"}
    config = config.model_copy(update={"image_projection": "linear" if has_projection else "none"})
    expected = set(CLIP(config).state_dict())
    tables = [openai.rules(config)]
    if vision != "modified_resnet":
        tables.append(huggingface.rules(config))
    for table in tables:
        named = {name for rule in table for name in rule.here}
        surplus = {"image_tower.patch_embedding.bias"} if vision == "vit-mean" else set()
        assert expected - named <= surplus
        assert not named - expected - {f"image_tower.input_norm.{part}" for part in ("weight", "bias")}
