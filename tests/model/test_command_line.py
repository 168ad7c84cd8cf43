"""`python -m model`: what a person sees, and what a program reads of it."""

import json
import subprocess
import sys

import pytest

from model.__main__ import main
from tests.model import tiny
from tests.model.importing.checkpoints import clip, huggingface, openai_names
from tests.model.importing.test_open_clip import SIZES, from_file


def run(capsys, *arguments):
    status = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return status, out, err


def test_import_tells_what_it_made_and_what_it_assumed(tmp_path, capsys):
    huggingface(tmp_path / "there")
    capsys.readouterr()
    status, out, err = run(capsys, "import", tmp_path / "there", tmp_path / "here", "--json")
    told = json.loads(out)
    assert status == 0
    assert told["kind"] == "Hugging Face CLIPModel"
    assert told["activation"] == {"image": "quick_gelu", "text": "quick_gelu"}
    assert told["activation_from"].startswith("hidden_act of vision_config is quick_gelu")
    assert told["source"] == "there (Hugging Face CLIPModel)"
    assert [f"assumed: {sentence}" for sentence in told["assumed"]] == err.splitlines()
    told_later = json.loads(run(capsys, "info", tmp_path / "here", "--json")[1])
    assert told_later.items() <= told.items()


def test_a_place_that_cannot_be_written_is_named(tmp_path, capsys):
    huggingface(tmp_path / "there")
    (tmp_path / "file").touch()
    status, out, err = run(capsys, "import", tmp_path / "there", tmp_path / "file" / "here")
    assert (status, out) == (1, "")
    assert err.endswith(f"{tmp_path / 'file' / 'here'}: Not a directory\n")


def test_info_says_what_a_person_needs_to_trust_a_model(tmp_path, capsys):
    folder = tiny.folder(tmp_path, tiny.TOWERS["vit-map"], tiny.TEXTS["siglip"])
    told = json.loads(run(capsys, "info", tmp_path, "--json")[1])
    assert told["fingerprint"] == folder.fingerprint
    assert told["precision"] == "float16"
    assert told["logit_scale"] == pytest.approx(10, rel=1e-3)
    assert told["logit_bias"] == -10
    assert told["activation"] == {"image": "gelu_tanh", "text": "gelu_tanh"}
    assert told["tokenization"]["padding"] == "context"
    assert told["preprocessing"]["size"] == tiny.SIZE
    assert told["source"] == "see README.md"
    assert told["parameters"]["total"] == sum(told["parameters"][part] for part in ("image", "text", "other"))
    lines = run(capsys, "info", tmp_path)[1].splitlines()
    assert [line.split()[0] for line in lines] == list(told)


def test_an_error_is_a_sentence_and_status_1(tmp_path, capsys):
    status, out, err = run(capsys, "import", tmp_path / "nothing", tmp_path / "here")
    assert (status, out) == (1, "")
    assert err == f"{tmp_path / 'nothing'} is neither a folder nor a file.\n"
    assert run(capsys, "info", tmp_path)[0] == 1
    tiny.folder(tmp_path / "plain")
    status, _, err = run(capsys, "export", tmp_path / "plain", "--format", "huggingface")
    assert status == 1
    assert "made of a ViT" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["import", "only-a-source"],
        ["import", "a", "b", "--activation", "swish"],
        ["import", "a", "b", "--image-size", "0"],
        ["import", "a", "b", "--image-size", "many"],
        ["export", "a", "--format", "tensorflow"],
        ["export", "a", "--format", "onnx", "--out", "b"],
        [],
    ],
)
def test_misuse_is_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: python -m model" in capsys.readouterr().err


def test_an_export_is_written_beside_the_model_or_where_it_is_wanted(tmp_path, capsys):
    folder, _ = from_file(tmp_path, openai_names(clip()) | SIZES)
    capsys.readouterr()
    for form in ("huggingface", "open_clip"):
        status, out, _ = run(capsys, "export", folder.path, "--format", form, "--json")
        told = json.loads(out)
        assert status == 0
        assert {str(path) for path in (folder.path / form).iterdir()} == set(told["written"])
        assert all(isinstance(note, str) for note in told["notes"])
    status, _, _ = run(capsys, "export", folder.path, "--format", "open_clip", "--out", tmp_path / "elsewhere")
    assert (tmp_path / "elsewhere" / "open_clip_config.json").is_file()


def test_the_card_says_where_a_model_came_from_and_names_no_folder_of_the_machine(tmp_path, capsys):
    folder, found = from_file(tmp_path, openai_names(clip()) | SIZES)
    card = (folder.path / "README.md").read_text()
    assert "source: there.pt\nsource_kind: OpenAI state dict\n" in card
    assert "| there.pt |" in card
    assert found.activation_from in card
    assert str(tmp_path) not in card


def test_an_import_needs_no_torch(tmp_path):
    """Who serves an imported model has none; and it would cost more memory than many a checkpoint."""
    huggingface(tmp_path / "there")
    code = (
        "import sys; from model.__main__ import main\n"
        "assert main(['import', *sys.argv[1:]]) == 0 and 'torch' not in sys.modules, 'torch was imported'"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "there", tmp_path / "here"], check=True)
