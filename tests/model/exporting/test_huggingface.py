"""A model of this house opens in transformers with the same vectors, or an error says why it cannot."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

from model.config import ModelConfig, TokenizationConfig
from model.errors import ExportError
from model.exporting.huggingface import export_huggingface
from model.folder import read_folder, write_folder
from model.importing.checkpoint import Wishes, import_checkpoint
from model.preprocess import preprocess
from model.tokenizer import Tokenizer
from model.torch_runtime import read_model
from tests.model import tiny
from tests.model.importing.checkpoints import SIZE, TEXT, clip, huggingface, squares, weights

WORDS = ["a red apple", "rocket", "", "a volcano that is much longer than twelve tokens are"]


def unit(vectors):
    vectors = getattr(vectors, "pooler_output", vectors)
    return torch.nn.functional.normalize(vectors, dim=-1).numpy()


@torch.inference_mode()
def opens_with_the_same_vectors(folder, path):
    """transformers' own classes on the exported folder against the folder here, from words and pictures on."""
    reference, ours = AutoModel.from_pretrained(path).eval(), read_model(folder)
    assert next(reference.parameters()).dtype == torch.float32
    words = AutoTokenizer.from_pretrained(path)(
        WORDS, padding="max_length", max_length=folder.config.text.context_length, truncation=True, return_tensors="pt"
    )
    pixels = torch.from_numpy(squares(3))
    ids, mask = (torch.from_numpy(array) for array in folder.tokenizer.encode(WORDS))
    np.testing.assert_allclose(
        unit(reference.get_text_features(words["input_ids"])), ours.encode_text(ids, mask).numpy(), atol=1e-5
    )
    np.testing.assert_allclose(unit(reference.get_image_features(pixels)), ours.encode_image(pixels), atol=1e-5)
    assert reference.logit_scale == ours.log_logit_scale
    return reference


def trained_here(path, end=tiny.EOT, dtype=np.float16, **changes):
    """A CLIP with a tokenizer that was trained here, whose end token is not the last one."""
    text = TEXT.model_copy(update={"vocab_size": tiny.VOCABULARY, "context_length": tiny.CONTEXT, "eot_id": end})
    config = ModelConfig.model_validate({**clip(text=text).model_dump(), "tokenization": {}, **changes})
    stored = {name: value.astype(dtype) for name, value in weights(config).items()}
    return write_folder(path, config, tiny.preprocess(resize_mode="crop"), tiny.tokenizer(), stored, "# tiny\n")


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_what_was_imported_goes_back(tmp_path, kind):
    huggingface(tmp_path / "there", kind)
    folder, _ = import_checkpoint(str(tmp_path / "there"), tmp_path / "here", Wishes())
    written, notes = export_huggingface(folder, tmp_path / "back")
    assert {path.name for path in written} == {path.name for path in (tmp_path / "back").iterdir()}
    assert len(notes) == 1
    opens_with_the_same_vectors(folder, tmp_path / "back")
    again, _ = import_checkpoint(str(tmp_path / "back"), tmp_path / "again", Wishes())
    names = {"name", "tokenization"} if kind == "clip" else {"name"}
    assert again.config.model_dump(exclude=names) == folder.config.model_dump(exclude=names)
    assert again.preprocess == folder.preprocess
    assert (again.weights.read_bytes()) == folder.weights.read_bytes()
    for first, second in zip(folder.tokenizer.encode(WORDS), again.tokenizer.encode(WORDS), strict=True):
        np.testing.assert_array_equal(first, second)


def test_a_model_trained_here_opens_there_though_its_end_token_means_something_else(tmp_path):
    """transformers takes an end token of id 2 for a sign to look for the highest id instead."""
    folder = trained_here(tmp_path / "here")
    _, notes = export_huggingface(folder, tmp_path / "there")
    assert any("changed places" in note for note in notes)
    opens_with_the_same_vectors(folder, tmp_path / "there")
    again, _ = import_checkpoint(str(tmp_path / "there"), tmp_path / "again", Wishes())
    assert again.config.tokenization == folder.config.tokenization
    ids, mask = (torch.from_numpy(array) for array in folder.tokenizer.encode(WORDS))
    theirs, their_mask = (torch.from_numpy(array) for array in again.tokenizer.encode(WORDS))
    with torch.inference_mode():
        np.testing.assert_allclose(
            read_model(folder).encode_text(ids, mask), read_model(again).encode_text(theirs, their_mask), atol=1e-6
        )


@pytest.mark.parametrize(("mode", "filter_"), [("crop", "bicubic"), ("squash", "bilinear")])
def test_the_processor_prepares_pictures_as_here(tmp_path, mode, filter_):
    folder = trained_here(tmp_path / "here")
    wanted = folder.preprocess.model_copy(update={"resize_mode": mode, "resample": filter_, "crop_rounding": "down"})
    (tmp_path / "here" / "preprocessor_config.json").write_text(wanted.model_dump_json())
    export_huggingface(read_folder(tmp_path / "here"), tmp_path / "there")
    pixels = np.random.default_rng(0).integers(0, 256, (40, 27, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    theirs = AutoImageProcessor.from_pretrained(tmp_path / "there", backend="pil")(picture, return_tensors="np")
    assert theirs["pixel_values"].shape == (1, 3, SIZE, SIZE)
    level = 1 / 255 / min(wanted.image_std)
    np.testing.assert_allclose(theirs["pixel_values"][0], preprocess(picture, wanted), atol=1.01 * level)


def test_vision_and_text_may_differ_in_their_activation(tmp_path):
    text = TEXT.model_copy(
        update={"vocab_size": tiny.VOCABULARY, "context_length": tiny.CONTEXT, "eot_id": 2, "activation": "gelu"}
    )
    folder = trained_here(tmp_path / "here", text=text.model_dump())
    export_huggingface(folder, tmp_path / "there")
    config = json.loads((tmp_path / "there" / "config.json").read_text())
    assert (config["vision_config"]["hidden_act"], config["text_config"]["hidden_act"]) == ("quick_gelu", "gelu")


@pytest.mark.parametrize(
    ("vision", "text", "complaint"),
    [
        ("resnet", "mean", "made of a ViT and a text Transformer; this model of resnet and transformer"),
        ("vit-clip", "lstm", "this model of vit and lstm"),
        ("vit-clip", "mean", "text.pooling is 'mean', there 'first_eot'"),
        ("vit", "clip", "vision.patch_bias is True, there False; vision.input_norm is False, there True"),
        ("vit-map", "clip", "vision.pooling is 'map', there 'class'"),
        ("vit-clip", "siglip", "SiglipModel cannot be this model: vision.patch_bias is False, there True"),
    ],
)
def test_what_transformers_has_no_words_for_is_named(tmp_path, vision, text, complaint):
    folder = tiny.folder(tmp_path / "here", tiny.TOWERS[vision], tiny.TEXTS[text])
    with pytest.raises(ExportError) as caught:
        export_huggingface(folder, tmp_path / "there")
    assert complaint in str(caught.value)
    assert not (tmp_path / "there").exists()


def test_padded_pictures_have_no_processor_there(tmp_path):
    folder = trained_here(tmp_path / "here")
    (tmp_path / "here" / "preprocessor_config.json").write_text(tiny.preprocess(resize_mode="pad").model_dump_json())
    with pytest.raises(ExportError, match="pads a picture"):
        export_huggingface(read_folder(tmp_path / "here"), tmp_path / "there")
    assert folder.path.is_dir()


def test_no_folder_is_written_over_but_an_earlier_export(tmp_path):
    folder = trained_here(tmp_path / "here")
    export_huggingface(folder, tmp_path / "there")
    export_huggingface(folder, tmp_path / "there")
    with pytest.raises(ExportError, match="is a model folder of Parallax"):
        export_huggingface(folder, tmp_path / "here")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "holiday.jpg").write_bytes(b"sun")
    with pytest.raises(ExportError, match="stays as it is"):
        export_huggingface(folder, tmp_path / "full")


@pytest.mark.parametrize("cleaning", ["lower", "canonical", "clip", "clip_canonical"])
def test_the_file_cleans_texts_as_this_house_does(tmp_path, cleaning):
    tokenization = TokenizationConfig(cleaning=cleaning)
    folder = trained_here(tmp_path / "here", tokenization=tokenization.model_dump())
    export_huggingface(folder, tmp_path / "there")
    there = AutoTokenizer.from_pretrained(tmp_path / "there")
    texts = ["A  Red,\tAPPLE!", " snake_case - and: (more) ", "", "Ünïcode “quotes”", "a.b/c@d[e]^f`g{h}~"]
    here = Tokenizer.read(tmp_path / "here" / "tokenizer.json", tiny.CONTEXT, tokenization)
    ids, mask = here.encode(texts)
    swap = {2: tiny.VOCABULARY - 1, tiny.VOCABULARY - 1: 2}
    for row, real, text in zip(ids, mask, texts, strict=True):
        theirs = there(text, truncation=True, max_length=tiny.CONTEXT)["input_ids"]
        assert theirs == [swap.get(token, token) for token in row[real].tolist()], text
