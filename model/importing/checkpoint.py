"""From a checkpoint to a model folder."""

from dataclasses import dataclass
from pathlib import Path

from model.config import Activation
from model.errors import ForeignCheckpointError
from model.folder import CONFIG, ModelFolder, check_target, write_folder
from model.importing import hub, huggingface, open_clip
from model.importing.activation import Evidence
from model.importing.card import model_card
from model.importing.found import Found
from model.importing.huggingface import read_huggingface
from model.importing.open_clip import read_open_clip
from model.importing.resolution import at_size
from model.importing.settings import read_json
from model.importing.tensor_file import read_tensor_file


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What a person says of a checkpoint beyond where it is."""

    architecture: str | None = None
    """For a single file: a name of open_clip's, a JSON file of such a config, or "openai"."""
    activation: Activation | None = None
    """Agrees with what the checkpoint says; needed where it says nothing."""
    tokenizer: Path | None = None
    """Folder or file of the tokenizer, if it is not beside the weights."""
    image_size: int | None = None
    """Another resolution, to which position embeddings are interpolated."""


def import_checkpoint(source: str, model_dir: Path, wishes: Wishes) -> tuple[ModelFolder, Found]:
    """Make a model folder of `source`: a folder, a file, or `hf-hub:NAME`.

    Nothing is written unless all of it fits. Raises ForeignCheckpointError, VocabularyError or ModelFolderError.
    """
    check_target(model_dir)
    found = read_checkpoint(source, wishes)
    if found.tokenizer.vocab_size != found.config.text.vocab_size:
        raise ForeignCheckpointError(
            f"The tokenizer has {found.tokenizer.vocab_size:,} tokens, the text tower "
            f"{found.config.text.vocab_size:,}; they are not of the same model. Give the right one with --tokenizer."
        )
    card = model_card(found, source)
    folder = write_folder(model_dir, found.config, found.preprocess, found.tokenizer, found.weights, card)
    return folder, found


def read_checkpoint(source: str, wishes: Wishes) -> Found:
    """Everything about a checkpoint; its weights stay views of its files."""
    said = Evidence(wishes.activation, f"--activation {wishes.activation}") if wishes.activation else None
    if source.startswith(hub.PREFIX):
        name = source.removeprefix(hub.PREFIX)
        path, name = hub.fetch(name), name.rpartition("/")[2]
    else:
        path = Path(source)
        name = path.resolve().name
    if path.is_dir():
        found = _read_folder(path, name, wishes, said)
    elif path.is_file():
        found = read_tensor_file(path, path.stem, wishes.architecture, wishes.tokenizer or path.parent, said)
    else:
        raise ForeignCheckpointError(f"{source} is neither a folder nor a file.")
    return found if wishes.image_size is None else at_size(found, wishes.image_size)


def _read_folder(path: Path, name: str, wishes: Wishes, said: Evidence | None) -> Found:
    if wishes.architecture is not None:
        raise ForeignCheckpointError(f"{path} is a folder with its own config; --config is for single files.")
    described = (path / open_clip.CONFIG).is_file()
    if huggingface.is_folder(path) and (huggingface.find_weights(path) or not described):
        return read_huggingface(path, name, wishes.tokenizer, said)
    if described:
        return read_open_clip(path, name, wishes.tokenizer, said)
    if (path / CONFIG).is_file():
        kind = read_json(path / CONFIG).get("model_type")
        raise ForeignCheckpointError(f"{path / CONFIG}: model_type {kind!r} is none of {', '.join(huggingface.KINDS)}.")
    raise ForeignCheckpointError(
        f"{path} has neither config.json nor {open_clip.CONFIG}; a file of tensors alone is given as the file."
    )
