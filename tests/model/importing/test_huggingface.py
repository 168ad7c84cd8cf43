"""A Hugging Face folder becomes a model with the same vectors; whatever cannot be read is named."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from model.errors import ForeignCheckpointError, ModelFolderError
from model.importing.checkpoint import Wishes, import_checkpoint
from model.torch_runtime import read_model
from tests.model.importing.checkpoints import CONTEXT, PATCH, SIZE, TEXTS, huggingface, squares


def unit(vectors):
    vectors = getattr(vectors, "pooler_output", vectors)
    return torch.nn.functional.normalize(vectors, dim=-1).numpy()


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def imported(tmp_path, **wishes):
    return import_checkpoint(str(tmp_path / "there"), tmp_path / "here", Wishes(**wishes))


@torch.inference_mode()
def vectors(folder):
    """Vectors of pictures and texts, and the texts' ids."""
    model = read_model(folder)
    ids, mask = (torch.from_numpy(array) for array in folder.tokenizer.encode(TEXTS))
    return model.encode_image(torch.from_numpy(squares(3))).numpy(), model.encode_text(ids, mask).numpy(), ids


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
@torch.inference_mode()
def test_clip_has_the_vectors_of_transformers(tmp_path, activation):
    reference = huggingface(tmp_path / "there", hidden_act=activation)
    folder, _ = imported(tmp_path)
    images, texts, ids = vectors(folder)
    np.testing.assert_allclose(images, unit(reference.get_image_features(torch.from_numpy(squares(3)))), atol=1e-5)
    np.testing.assert_allclose(texts, unit(reference.get_text_features(ids)), atol=1e-5)
    assert folder.config.vision.activation == folder.config.text.activation == activation
    assert read_model(folder).log_logit_scale == reference.logit_scale


@torch.inference_mode()
def test_siglip_has_the_vectors_of_transformers(tmp_path):
    reference = huggingface(tmp_path / "there", "siglip")
    folder, _ = imported(tmp_path)
    images, texts, ids = vectors(folder)
    assert ids.shape[1] == CONTEXT
    np.testing.assert_allclose(images, unit(reference.get_image_features(torch.from_numpy(squares(3)))), atol=1e-5)
    np.testing.assert_allclose(texts, unit(reference.get_text_features(ids)), atol=1e-5)
    model = read_model(folder)
    assert (model.log_logit_scale, model.logit_bias) == (reference.logit_scale, reference.logit_bias)


@torch.inference_mode()
def test_siglip2_of_one_resolution_has_the_vectors_of_transformers(tmp_path):
    reference = huggingface(tmp_path / "there", "siglip2")
    folder, found = imported(tmp_path)
    images, texts, ids = vectors(folder)
    side = SIZE // PATCH
    cut = squares(3).reshape(3, 3, side, PATCH, side, PATCH).transpose(0, 2, 4, 3, 5, 1).reshape(3, side * side, -1)
    there = reference.get_image_features(
        torch.from_numpy(cut), torch.ones(3, side * side, dtype=torch.int32), torch.tensor([[side, side]] * 3)
    )
    np.testing.assert_allclose(images, unit(there), atol=1e-5)
    np.testing.assert_allclose(texts, unit(reference.get_text_features(ids)), atol=1e-5)
    assert folder.config.tokenization.cleaning == "lower"
    assert any("squashed" in assumption for assumption in found.assumptions)


def test_parts_of_a_checkpoint_are_put_together(tmp_path):
    reference = huggingface(tmp_path / "there")
    whole, _ = imported(tmp_path)
    (tmp_path / "there" / "model.safetensors").unlink()
    reference.save_pretrained(tmp_path / "there", max_shard_size="20KB")
    assert len(list((tmp_path / "there").glob("*.safetensors"))) > 1
    assert imported(tmp_path)[0].fingerprint == whole.fingerprint


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"weight_map": {"logit_scale": "../model.safetensors"}}, "outside of its folder"),
        ({"weight_map": {"logit_scale": "gone.safetensors"}}, "not there: gone"),
        ({"weight_map": {"stray": "model-1.safetensors"}}, "stray in model-1"),
        ({"weight_map": 3}, "not an index"),
    ],
)
def test_a_wrong_index_is_named(tmp_path, change, complaint):
    huggingface(tmp_path / "there")
    (tmp_path / "there" / "model.safetensors").rename(tmp_path / "there" / "model-1.safetensors")
    (tmp_path / "there" / "model.safetensors.index.json").write_text(json.dumps(change))
    with pytest.raises(ForeignCheckpointError, match=complaint):
        imported(tmp_path)


def test_pickled_weights_make_the_same_model(tmp_path):
    huggingface(tmp_path / "there")
    first, _ = imported(tmp_path)
    weights = tmp_path / "there" / "model.safetensors"
    tensors = load_file(weights)
    buffer = {"text_model.embeddings.position_ids": torch.arange(CONTEXT)[None]}
    torch.save(tensors | buffer, tmp_path / "there" / "pytorch_model.bin")
    weights.unlink()
    assert imported(tmp_path)[0].fingerprint == first.fingerprint


def test_one_error_names_every_tensor_that_does_not_fit(tmp_path):
    huggingface(tmp_path / "there")
    weights = tmp_path / "there" / "model.safetensors"
    tensors = load_file(weights)
    tensors["stray"] = tensors.pop("logit_scale")
    tensors["visual_projection.weight"] = tensors["visual_projection.weight"][:2].clone()
    tensors["text_model.final_layer_norm.bias"] = tensors["text_model.final_layer_norm.bias"].to(torch.int8)
    save_file(tensors, weights)
    with pytest.raises(ForeignCheckpointError) as caught:
        imported(tmp_path)
    for part in (
        "missing (1): logit_scale",
        "unknown (1): stray",
        "misshapen (1): visual_projection.weight is (2, 24) instead of (8, 24)",
        "not floating point (1): text_model.final_layer_norm.bias (int8)",
    ):
        assert part in str(caught.value)
    assert not (tmp_path / "here").exists()


def test_what_config_json_leaves_out_is_as_transformers_has_it_and_said(tmp_path):
    huggingface(tmp_path / "there")
    config = json.loads((tmp_path / "there" / "config.json").read_text())
    for section in ("vision_config", "text_config"):
        del config[section]["hidden_act"], config[section]["layer_norm_eps"]
    (tmp_path / "there" / "config.json").write_text(json.dumps(config))
    folder, found = imported(tmp_path)
    assert folder.config.vision.activation == folder.config.text.activation == "quick_gelu"
    assert "vision_config.hidden_act is quick_gelu, transformers' default" in found.assumptions
    assert "hidden_act is quick_gelu, transformers' default" in (tmp_path / "here" / "README.md").read_text()


@torch.inference_mode()
def test_the_end_token_of_old_configs_means_the_highest_id(tmp_path):
    reference = huggingface(tmp_path / "there", eos_token_id=2)
    folder, _ = imported(tmp_path)
    _, texts, ids = vectors(folder)
    np.testing.assert_allclose(texts, unit(reference.get_text_features(ids)), atol=1e-5)


def test_an_end_token_that_is_not_the_highest_is_not_guessed(tmp_path):
    """transformers pools at the highest token where eos_token_id is 2, be it the tokenizer's end token or not."""
    huggingface(tmp_path / "there", eos_token_id=2)
    path = tmp_path / "there" / "config.json"
    text = json.loads(path.read_text())["text_config"]
    edit(path, text_config=text | {"vocab_size": text["vocab_size"] + 1})
    with pytest.raises(ForeignCheckpointError, match="into its config as eos_token_id"):
        imported(tmp_path)


def test_older_sections_count_for_more(tmp_path):
    huggingface(tmp_path / "there", hidden_act="gelu")
    config = json.loads((tmp_path / "there" / "config.json").read_text())
    older = config["text_config"] | {"hidden_act": "relu"}
    edit(tmp_path / "there" / "config.json", text_config_dict=older, vision_config_dict=None)
    folder, _ = imported(tmp_path)
    assert (folder.config.vision.activation, folder.config.text.activation) == ("gelu", "relu")


@pytest.mark.parametrize(
    ("section", "changes", "complaint"),
    [
        ("text_config", {"hidden_act": "swish"}, "swish"),
        ("text_config", {"eos_token_id": 7}, "looks for token 7"),
        ("vision_config", {"num_channels": 4}, "num_channels is 4"),
        ("vision_config", {"image_size": [16, 24]}, "the side of a square"),
        ("vision_config", {"hidden_size": "wide"}, "a whole number"),
        ("vision_config", {"num_attention_heads": 5}, "not divisible"),
    ],
)
def test_what_cannot_be_built_is_named(tmp_path, section, changes, complaint):
    huggingface(tmp_path / "there")
    path = tmp_path / "there" / "config.json"
    edit(path, **{section: json.loads(path.read_text())[section] | changes})
    with pytest.raises(ForeignCheckpointError, match=complaint):
        imported(tmp_path)


def test_another_kind_of_model_is_refused(tmp_path):
    huggingface(tmp_path / "there")
    edit(tmp_path / "there" / "config.json", model_type="blip")
    with pytest.raises(ForeignCheckpointError, match="'blip' is none of clip, siglip, siglip2"):
        imported(tmp_path)


def test_what_a_person_says_of_the_activation_must_be_true(tmp_path):
    huggingface(tmp_path / "there", hidden_act="gelu")
    with pytest.raises(ForeignCheckpointError, match="Two activations"):
        imported(tmp_path, activation="quick_gelu")
    assert imported(tmp_path, activation="gelu")


def test_a_tokenizer_of_another_model_is_refused(tmp_path):
    huggingface(tmp_path / "there")
    edit(tmp_path / "there" / "vocab.json", more=514)
    with pytest.raises(ForeignCheckpointError, match="515 tokens, the text tower 514"):
        imported(tmp_path)


def test_a_folder_is_never_written_over_by_accident(tmp_path):
    huggingface(tmp_path / "there")
    with pytest.raises(ModelFolderError, match="stays as it is"):
        import_checkpoint(str(tmp_path / "there"), tmp_path / "there", Wishes())
    imported(tmp_path)
    imported(tmp_path)
