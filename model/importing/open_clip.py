"""open_clip's folders, and files of tensors in the names of OpenAI's CLIP, which are open_clip's too."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from model.errors import ForeignCheckpointError
from model.importing.activation import Evidence, evidence_of, settle
from model.importing.found import Found
from model.importing.open_clip_config import OpenClipConfig
from model.importing.preprocessing import read_preprocess_cfg
from model.importing.settings import read_json
from model.importing.state_dict import StateDict, read_state_dict
from model.importing.tokenization import end_id
from model.layouts import openai
from model.layouts.rule import convert
from model.weights import Array

CONFIG = "open_clip_config.json"
WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_model.safetensors.index.json",
    "open_clip_pytorch_model.bin",
    "open_clip_model.bin",
    "open_clip_pytorch_model.bin.index.json",
)


def find_weights(folder: Path) -> Path | None:
    """The file of the weights, or the index of its parts."""
    return next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)


def read_open_clip(folder: Path, name: str, tokenizer: Path | None, said: Evidence | None) -> Found:
    """A folder with `open_clip_config.json`; ForeignCheckpointError says what is missing or cannot be expressed.

    `tokenizer` is where the tokenizer's files are, if not in the folder; `said`, what a person says of the activation.
    """
    file = folder / CONFIG
    values = read_json(file)
    if not isinstance(values.get("model_cfg"), dict):
        raise ForeignCheckpointError(f"{file} has no model_cfg.")
    weights = find_weights(folder)
    if weights is None:
        raise ForeignCheckpointError(f"{folder} has no weights: none of {', '.join(WEIGHTS)}.")
    state = read_state_dict(weights)
    return build(
        kind="open_clip folder",
        name=name,
        config=OpenClipConfig(values["model_cfg"], str(file)),
        state=state,
        evidences=(stated(values["model_cfg"], CONFIG), evidence_of(state), said),
        tokenizer=tokenizer or folder,
        preprocess=values.get("preprocess_cfg") or {},
        files=(file,),
    )


def stated(model_cfg: Mapping[str, Any], place: str) -> Evidence:
    """What a config says of its activation; one that says nothing of QuickGELU says GELU, as open_clip reads it."""
    quick = bool(model_cfg.get("quick_gelu"))
    because = f"{place} says quick_gelu" if quick else f"{place} does not say quick_gelu"
    return Evidence("quick_gelu" if quick else "gelu", because)


def text_prefix(tensors: Mapping[str, Array]) -> str:
    """What stands before the names of the text tower."""
    return "text." if "text.token_embedding.weight" in tensors else ""


def build(
    *,
    kind: str,
    name: str,
    config: OpenClipConfig,
    state: StateDict,
    evidences: Collection[Evidence | None],
    tokenizer: Path | None,
    preprocess: Mapping[str, Any],
    files: tuple[Path, ...],
) -> Found:
    """The model that a config and the tensors make."""
    evidence = settle(evidences, state.files[0].name)
    read = config.read_tokenizer(tokenizer)
    end, has_bias = end_id(read[0]), "logit_bias" in state.tensors
    built = config.build(name, evidence.activation == "quick_gelu", read[1], end, has_bias)
    assumptions = list(state.remarks)
    if not preprocess:
        family = "SigLIP" if config.siglip else "CLIP"
        assumptions.append(f"nothing says how pictures are prepared: it is done as {family}'s authors did")
    if read[1].cleaning == "none":
        assumptions.append("texts go to the tokenizer as they are; open_clip would repair wrong decodings before")
    return Found(
        kind=kind,
        config=built,
        preprocess=read_preprocess_cfg(preprocess, config.place, config.image_size, config.siglip),
        tokenizer=read[0],
        weights=convert(openai.rules(built, text_prefix(state.tensors)), state.tensors, openai.is_buffer),
        files=(*files, *state.files),
        activation_from=evidence.because,
        assumptions=tuple(assumptions),
    )
