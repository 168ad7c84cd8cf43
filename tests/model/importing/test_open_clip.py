"""open_clip's folders and OpenAI's files become models with the same weights, and never with the wrong activation."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from model.errors import ForeignCheckpointError
from model.importing.checkpoint import Wishes, import_checkpoint
from model.importing.named import NAMES, named
from model.importing.open_clip_config import OpenClipConfig
from model.torch_runtime import read_model
from tests.model.importing.checkpoints import (
    CONTEXT,
    RESNET,
    TEXT,
    VIT,
    clip,
    open_clip_cfg,
    openai_archive,
    openai_names,
    weights,
    write_clip_vocabulary,
)

SIZES = {name: torch.tensor(3) for name in ("input_resolution", "context_length", "vocab_size")}
RN_TEXT = TEXT.model_copy(update={"width": 128, "heads": 2})


def gelu(tower):
    return tower.model_copy(update={"activation": "gelu"})


def imported(tmp_path, file="there", **wishes):
    return import_checkpoint(str(tmp_path / file), tmp_path / "here", Wishes(**wishes))


def from_file(tmp_path, tensors, file="there.pt", **wishes):
    """Import a state dict from a file, with the tiny vocabulary."""
    write_clip_vocabulary(tmp_path / "vocabulary")
    if file.endswith(".safetensors"):
        save_file(tensors, tmp_path / file)
    elif not (tmp_path / file).exists():
        torch.save(tensors, tmp_path / file)
    return imported(tmp_path, file, tokenizer=tmp_path / "vocabulary", **wishes)


def same_weights(folder, config):
    written = weights(config)
    read = read_model(folder).state_dict()
    assert read.keys() == written.keys()
    for name, value in written.items():
        np.testing.assert_array_equal(read[name].numpy(), value, err_msg=name)


def folder_of(path, config, tensors=None, **changes):
    """An open_clip folder with CLIP's vocabulary."""
    write_clip_vocabulary(path)
    save_file(tensors or openai_names(config), path / "open_clip_model.safetensors")
    (path / "open_clip_config.json").write_text(json.dumps({"model_cfg": open_clip_cfg(config, **changes)}))


@pytest.mark.parametrize(
    "config",
    [
        clip(gelu(VIT), gelu(TEXT)),
        clip(gelu(VIT).model_copy(update={"heads": 4, "pooling": "mean", "input_norm": False}), gelu(TEXT)),
        clip(RESNET, gelu(RN_TEXT)),
    ],
    ids=["vit", "vit-mean", "resnet"],
)
def test_an_open_clip_folder_becomes_the_model(tmp_path, config):
    folder_of(tmp_path / "there", config)
    if config.vision.kind == "vit" and config.vision.pooling == "mean":
        cfg = open_clip_cfg(config)
        cfg["vision_cfg"] |= {"pool_type": "avg", "no_ln_pre": True}
        (tmp_path / "there" / "open_clip_config.json").write_text(json.dumps({"model_cfg": cfg}))
    if config.vision.kind == "modified_resnet":
        cfg = open_clip_cfg(config)
        cfg["vision_cfg"]["head_width"] = 64
        (tmp_path / "there" / "open_clip_config.json").write_text(json.dumps({"model_cfg": cfg}))
    folder, _ = imported(tmp_path)
    assert folder.config == config
    same_weights(folder, config)


@pytest.mark.parametrize(("flag", "activation"), [(True, "quick_gelu"), (False, "gelu"), (None, "gelu")])
def test_a_folder_says_its_activation(tmp_path, flag, activation):
    folder_of(tmp_path / "there", clip(), **({} if flag is None else {"quick_gelu": flag}))
    folder, found = imported(tmp_path)
    assert folder.config.vision.activation == folder.config.text.activation == activation
    assert "quick_gelu" in found.activation_from


def test_pickled_weights_with_an_optimizer_and_prefixes_are_the_same_model(tmp_path):
    config = clip(gelu(VIT), gelu(TEXT))
    folder_of(tmp_path / "there", config)
    tensors = {f"module.{name}": value for name, value in openai_names(config).items()}
    training = {"epoch": 3, "name": "run", "state_dict": tensors, "optimizer": {"state": {0: {"m": torch.ones(9)}}}}
    (tmp_path / "there" / "open_clip_model.safetensors").unlink()
    torch.save(training, tmp_path / "there" / "open_clip_pytorch_model.bin")
    folder, found = imported(tmp_path)
    same_weights(folder, config)
    assert "took the weights from 'state_dict'; beside them stood epoch, name, optimizer" in found.assumptions
    assert "dropped 'module.' before every name" in found.assumptions


def test_a_text_tower_may_stand_by_itself(tmp_path):
    config = clip(gelu(VIT), gelu(TEXT))
    folder_of(tmp_path / "there", config, openai_names(config, "text."), custom_text=True)
    same_weights(imported(tmp_path)[0], config)


def test_a_scale_with_an_axis_is_a_scale(tmp_path):
    config = clip(gelu(VIT), gelu(TEXT))
    tensors = openai_names(config)
    folder_of(tmp_path / "there", config, tensors | {"logit_scale": tensors["logit_scale"].reshape(1)})
    same_weights(imported(tmp_path)[0], config)


@pytest.mark.parametrize(
    ("section", "changes"),
    [
        ("vision_cfg", {"ls_init_value": 0.1}),
        ("vision_cfg", {"attentional_pool": True}),
        ("vision_cfg", {"timm_model_name": "convnext_base"}),
        ("vision_cfg", {"pool_type": "none"}),
        ("vision_cfg", {"act_kwargs": {"approximate": "fancy"}}),
        ("text_cfg", {"hf_model_name": "roberta-base"}),
        ("text_cfg", {"embed_cls": True}),
        ("text_cfg", {"pool_type": "first"}),
        ("text_cfg", {"tokenizer_kwargs": {"clean": "canonicalize"}}),
        ("text_cfg", {"tokenizer_kwargs": {"strip_sep_token": True}}),
        ("text_cfg", {"pool_type": "eos", "eos_id": 7}),
        ("text_cfg", {"invented_later": 3}),
    ],
)
def test_what_is_not_known_here_is_named_and_not_guessed(tmp_path, section, changes):
    cfg = open_clip_cfg(clip())
    folder_of(tmp_path / "there", clip(), **{section: cfg[section] | changes})
    with pytest.raises(ForeignCheckpointError):
        imported(tmp_path)


@pytest.mark.parametrize("vision", [VIT, RESNET], ids=["vit", "resnet"])
@pytest.mark.parametrize("half", [False, True], ids=["float32", "float16"])
def test_openais_archive_needs_nothing_said(tmp_path, vision, half):
    config = clip(vision, RN_TEXT if vision is RESNET else TEXT)
    tensors = openai_names(config)
    if half:
        tensors = {name: value.half() if value.is_floating_point() else value for name, value in tensors.items()}
    openai_archive(tmp_path / "there.pt", tensors | SIZES)
    folder, found = from_file(tmp_path, {})
    assert folder.config == config
    assert found.kind == "OpenAI TorchScript archive"
    assert "the archive's own code computes a sigmoid" in found.activation_from
    read = read_model(folder).state_dict()
    for name, value in weights(config).items():
        np.testing.assert_allclose(read[name], value, atol=1e-2 if half else 0)


def test_the_code_of_an_archive_tells_a_gelu_too(tmp_path):
    config = clip(gelu(VIT), gelu(TEXT))
    openai_archive(tmp_path / "there.pt", openai_names(config), quick=False)
    (tmp_path / "config.json").write_text(json.dumps(open_clip_cfg(config)))
    folder, _ = from_file(tmp_path, {}, architecture=str(tmp_path / "config.json"))
    assert folder.config == config
    with pytest.raises(ForeignCheckpointError, match="Two activations"):
        from_file(tmp_path, {}, architecture=str(tmp_path / "config.json"), activation="quick_gelu")
    with pytest.raises(ForeignCheckpointError, match="Two activations"):
        from_file(tmp_path, {}, architecture="openai")


@pytest.mark.parametrize("file", ["there.pt", "there.bin", "there.safetensors"])
def test_a_state_dict_of_openai_shows_by_its_sizes(tmp_path, file):
    folder, _ = from_file(tmp_path, openai_names(clip()) | SIZES, file)
    assert folder.config == clip()
    same_weights(folder, clip())


def test_a_state_dict_without_any_sign_is_imported_only_with_both_words(tmp_path):
    """open_clip #771: the same tensors work, somewhat, with either activation."""
    tensors = openai_names(clip())
    with pytest.raises(ForeignCheckpointError, match="They fit none that is known by name"):
        from_file(tmp_path, tensors)
    (tmp_path / "config.json").write_text(json.dumps(open_clip_cfg(clip())))
    with pytest.raises(ForeignCheckpointError, match=r"Nothing says whether there\.pt computes GELU or QuickGELU"):
        from_file(tmp_path, tensors, architecture=str(tmp_path / "config.json"))
    for activation in ("gelu", "quick_gelu"):
        folder, found = from_file(tmp_path, tensors, architecture=str(tmp_path / "config.json"), activation=activation)
        assert folder.config.vision.activation == folder.config.text.activation == activation
        assert found.activation_from == f"--activation {activation}"
    assert from_file(tmp_path, tensors, architecture="openai")[0].config == clip()


def test_a_config_beside_a_file_says_how_pictures_are_prepared(tmp_path):
    config = {"model_cfg": open_clip_cfg(clip()), "preprocess_cfg": {"mean": [0.5] * 3, "resize_mode": "squash"}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    wishes = {"architecture": str(tmp_path / "open_clip_config.json"), "activation": "gelu"}
    folder, found = from_file(tmp_path, openai_names(clip()), **wishes)
    assert folder.preprocess.image_mean == (0.5, 0.5, 0.5)
    assert folder.preprocess.resize_mode == "squash"
    assert not any("nothing says how pictures" in sentence for sentence in found.assumptions)
    for broken in ({"model_cfg": None}, {"model_cfg": open_clip_cfg(clip()), "preprocess_cfg": [1]}):
        (tmp_path / "open_clip_config.json").write_text(json.dumps(broken))
        with pytest.raises(ForeignCheckpointError, match=r"_cfg is .*, not an object"):
            from_file(tmp_path, openai_names(clip()), **wishes)


def test_a_vocabulary_beside_a_file_is_that_of_the_file(tmp_path):
    write_clip_vocabulary(tmp_path)
    torch.save(openai_names(clip()), tmp_path / "there.pt")
    folder, _ = imported(tmp_path, "there.pt", architecture="openai")
    assert folder.config == clip()


def test_a_name_without_quickgelu_is_no_evidence_and_one_with_it_is(tmp_path, monkeypatch):
    tiny = {"ViT-B-32": open_clip_cfg(clip()), "ViT-B-32-quickgelu": open_clip_cfg(clip(), quick_gelu=True)}
    monkeypatch.setattr("model.importing.tensor_file.named", tiny.__getitem__)
    monkeypatch.setattr("model.importing.tensor_file.NAMES", ("ViT-B-32",))
    tensors = openai_names(clip())
    for architecture in ("ViT-B-32", None):  # by its name, or found by its shapes
        with pytest.raises(ForeignCheckpointError, match="Nothing says"):
            from_file(tmp_path, tensors, architecture=architecture)
        folder, _ = from_file(tmp_path, tensors, architecture=architecture, activation="gelu")
        assert folder.config.text.activation == "gelu"
    folder, _ = from_file(tmp_path, tensors, architecture="ViT-B-32-quickgelu")
    assert folder.config.text.activation == "quick_gelu"
    with pytest.raises(ForeignCheckpointError, match="Two activations"):
        from_file(tmp_path, tensors, architecture="ViT-B-32-quickgelu", activation="gelu")


def test_a_file_of_openai_under_a_name_of_gelu_stays_quick(tmp_path, monkeypatch):
    monkeypatch.setattr("model.importing.tensor_file.named", lambda _: open_clip_cfg(clip()))
    folder, _ = from_file(tmp_path, openai_names(clip()) | SIZES, architecture="ViT-B-32")
    assert folder.config.vision.activation == folder.config.text.activation == "quick_gelu"


def test_a_name_that_is_none_lists_those_there_are(tmp_path):
    with pytest.raises(ForeignCheckpointError, match=r"'ViT-Z'\..*RN50x64.*ViT-SO400M-14-SigLIP"):
        from_file(tmp_path, openai_names(clip()), architecture="ViT-Z")


def test_a_file_from_a_hugging_face_folder_says_so(tmp_path):
    with pytest.raises(ForeignCheckpointError, match=r"give the folder, with its config\.json"):
        from_file(tmp_path, {"text_model.final_layer_norm.bias": torch.zeros(2)})


@pytest.mark.parametrize("content", [{"a": 1}, [1], {"state_dict": {}}])
def test_a_file_without_tensors_is_refused(tmp_path, content):
    with pytest.raises(ForeignCheckpointError, match=r"there\.pt"):
        from_file(tmp_path, content)


def test_every_name_of_this_house_is_open_clips_own():
    """Its configs ship with the package that ships CLIP's vocabulary."""
    from importlib.util import find_spec
    from pathlib import Path

    spec = find_spec("open_clip")
    configs = Path(spec.submodule_search_locations[0], "model_configs")
    for name in (*NAMES, *(f"{name}-quickgelu" for name in NAMES)):
        if not (configs / f"{name}.json").is_file():
            assert name.endswith("-quickgelu")
            continue
        theirs = json.loads((configs / f"{name}.json").read_text())
        assert built(theirs) == built(named(name)), name


def built(model_cfg):
    config = OpenClipConfig(model_cfg, "")
    tokenization = clip().tokenization.model_copy(update={"padding": "context" if config.siglip else "longest"})
    return config.build("any", bool(model_cfg.get("quick_gelu")), tokenization, config.vocab_size - 1, False)


def test_another_resolution_gets_interpolated_positions(tmp_path):
    config = clip(gelu(VIT), gelu(TEXT))
    folder_of(tmp_path / "there", config)
    folder, found = imported(tmp_path, image_size=32)
    assert folder.preprocess.size == folder.config.vision.image_size == 32
    model = read_model(folder)
    assert model.image_tower.position_embedding.shape == (1, 17, 128)
    before = weights(config)["image_tower.position_embedding"]
    np.testing.assert_array_equal(model.image_tower.position_embedding[:, :1].detach(), before[:, :1])
    assert any("interpolated from 16 to 32" in assumption for assumption in found.assumptions)
    pixels = torch.randn(2, 3, 32, 32)
    smaller = read_model(import_checkpoint(str(tmp_path / "there"), tmp_path / "as-it-is", Wishes())[0])
    np.testing.assert_allclose(model.encode_image(pixels).detach(), smaller.encode_image(pixels).detach(), atol=1e-6)


def test_another_resolution_needs_a_transformer(tmp_path):
    config = clip(RESNET, gelu(RN_TEXT))
    cfg = open_clip_cfg(config)
    folder_of(tmp_path / "there", config, vision_cfg=cfg["vision_cfg"] | {"head_width": 64})
    with pytest.raises(ForeignCheckpointError, match="needs a Vision Transformer"):
        imported(tmp_path, image_size=128)


def test_context_of_the_tiny_models_is_what_is_cut_to(tmp_path):
    folder_of(tmp_path / "there", clip())
    folder, _ = imported(tmp_path)
    ids, _ = folder.tokenizer.encode(["a text of far more than twelve tokens, cut at the end"])
    assert ids.shape == (1, CONTEXT)
    assert ids[0, -1] == folder.config.text.eot_id
