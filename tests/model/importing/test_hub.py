"""`hf-hub:NAME` fetches one format of the weights and nothing that is not needed."""

import shutil
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
import torch

from model.errors import ForeignCheckpointError
from model.importing.checkpoint import Wishes, import_checkpoint
from tests.model.importing.checkpoints import clip, huggingface
from tests.model.importing.test_open_clip import folder_of


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub of one model, `someone/tiny`, in a folder; remembers what was fetched of it."""
    import huggingface_hub

    there, cache = tmp_path / "hub", tmp_path / "cache"
    fetched: list[str] = []

    def snapshot_download(name, allow_patterns):
        if name != "someone/tiny":
            raise OSError(f"404: there is no {name}")
        cache.mkdir(exist_ok=True)
        for file in sorted(there.iterdir()):
            if any(fnmatch(file.name, pattern) for pattern in allow_patterns) and not (cache / file.name).exists():
                shutil.copy(file, cache)
                fetched.append(file.name)
        return str(cache)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return there, fetched


def imported(tmp_path, name="someone/tiny"):
    return import_checkpoint(f"hf-hub:{name}", tmp_path / "here", Wishes())


def test_a_hugging_face_model_is_fetched_without_its_other_formats(tmp_path, hub):
    there, fetched = hub
    huggingface(there)
    for name in ("pytorch_model.bin", "tf_model.h5", "open_clip_model.safetensors", "README.md"):
        (there / name).write_bytes(b"not wanted")
    folder, _ = imported(tmp_path)
    assert folder.config.name == "tiny"
    assert set(fetched) == {"config.json", "vocab.json", "merges.txt", "model.safetensors"}
    assert "source: hf-hub:someone/tiny\n" in (tmp_path / "here" / "README.md").read_text()


def test_pickled_weights_are_fetched_where_there_are_no_others(tmp_path, hub):
    there, fetched = hub
    reference = huggingface(there)
    (there / "model.safetensors").unlink()
    torch.save(reference.state_dict(), there / "pytorch_model.bin")
    imported(tmp_path)
    assert "pytorch_model.bin" in fetched


def test_an_open_clip_model_is_fetched(tmp_path, hub):
    there, fetched = hub
    folder_of(there, clip())
    folder, found = imported(tmp_path)
    assert found.kind == "open_clip folder"
    assert folder.config.name == "tiny"
    assert "open_clip_model.safetensors" in fetched


def test_what_the_hub_says_is_passed_on(tmp_path, hub):
    with pytest.raises(ForeignCheckpointError, match="hf-hub:someone/else cannot be downloaded: 404"):
        imported(tmp_path, "someone/else")


def test_without_the_package_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ForeignCheckpointError, match="needs the package huggingface_hub"):
        imported(tmp_path)


def test_a_folder_of_that_name_is_not_taken_for_the_hub(tmp_path):
    with pytest.raises(ForeignCheckpointError, match="neither a folder nor a file"):
        import_checkpoint(str(Path(tmp_path, "someone", "tiny")), tmp_path / "here", Wishes())
