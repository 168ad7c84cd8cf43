"""A single file of tensors: OpenAI's TorchScript archives, and state dicts in the names of OpenAI and open_clip.

Such a file has no config. The architecture is OpenAI's where the file shows that it is from OpenAI; otherwise it has a
name, given by a person or found as the only one that the shapes fit.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.config import TokenizationConfig
from model.errors import ForeignCheckpointError
from model.importing.activation import Evidence, evidence_of
from model.importing.found import Found
from model.importing.named import NAMES, QUICK, is_siglip, named
from model.importing.open_clip import build, stated, text_prefix
from model.importing.open_clip_config import OpenClipConfig
from model.importing.openai import model_cfg_of
from model.importing.settings import read_json
from model.importing.state_dict import StateDict, read_state_dict
from model.layouts import openai
from model.layouts.rule import faults_of

OPENAI = "openai"
"""Given as the name of an architecture: OpenAI's, by the shapes."""


def read_tensor_file(
    path: Path, name: str, architecture: str | None, tokenizer: Path | None, said: Evidence | None
) -> Found:
    """A file of tensors; ForeignCheckpointError says what is missing, and what to give.

    `architecture` is a name of open_clip's, a JSON file of such a config, or "openai". `said` is what a person says of
    the activation.
    """
    state = read_state_dict(path)
    if any(key.startswith(("text_model.", "vision_model.")) for key in state.tensors):
        raise ForeignCheckpointError(f"{path} is from a Hugging Face folder; give the folder, with its config.json.")
    own = evidence_of(state)
    if architecture is None:
        from_openai = own is not None and own.activation == "quick_gelu"
        architecture = OPENAI if from_openai else _fitting_name(state, path)
    model_cfg, preprocess_cfg, evidence, kind, files = _described(architecture, state, path)
    return build(
        kind=kind,
        name=name,
        config=OpenClipConfig(model_cfg, f"the architecture {architecture}"),
        state=state,
        evidences=(evidence, own, said),
        tokenizer=tokenizer,
        preprocess=preprocess_cfg,
        files=files,
    )


def _described(
    architecture: str, state: StateDict, path: Path
) -> tuple[Mapping[str, Any], Mapping[str, Any], Evidence | None, str, tuple[Path, ...]]:
    """`model_cfg` and `preprocess_cfg`, what tells of the activation, what to call the file, and what else was read."""
    if architecture == OPENAI:
        kind = "OpenAI TorchScript archive" if state.code is not None else "OpenAI state dict"
        every = Evidence("quick_gelu", "OpenAI's CLIPs all compute QuickGELU")
        return model_cfg_of(state.tensors, str(path)), {}, every, kind, ()
    if architecture.endswith(".json"):
        values = read_json(Path(architecture))
        model_cfg = values.get("model_cfg", values)
        preprocess_cfg = values.get("preprocess_cfg") or {}
        for name, part in (("model_cfg", model_cfg), ("preprocess_cfg", preprocess_cfg)):
            if not isinstance(part, dict):
                raise ForeignCheckpointError(f"{architecture}: {name} is {part!r}, not an object.")
        evidence = stated(model_cfg, Path(architecture).name) if "quick_gelu" in model_cfg else None
        return model_cfg, preprocess_cfg, evidence, "state dict with an open_clip config", (Path(architecture),)
    model_cfg, kind = named(architecture), f"open_clip state dict, {architecture}"
    if is_siglip(architecture) or architecture.endswith(QUICK):
        return model_cfg, {}, stated(model_cfg, f"the name {architecture}"), kind, ()
    # "ViT-B-32" would be GELU, but is what people call OpenAI's weights too: it is no evidence.
    return model_cfg, {}, None, kind, ()


def _fitting_name(state: StateDict, path: Path) -> str:
    """The one named architecture whose tensors have these names and shapes."""
    fitting = [name for name in NAMES if _fits(name, state)]
    if len(fitting) == 1:
        return fitting[0]
    found = f"They fit {' and '.join(fitting)}. S" if fitting else "They fit none that is known by name. S"
    raise ForeignCheckpointError(
        f"{path} holds tensors and does not say of which architecture. {found}ay it with --config: a name such as "
        f"{NAMES[0]}, a JSON file such as open_clip's, or {OPENAI} for OpenAI's own."
    )


def _fits(name: str, state: StateDict) -> bool:
    config = OpenClipConfig(named(name), name)
    tokenization = TokenizationConfig(padding="context" if config.siglip else "longest")
    built = config.build(name, False, tokenization, config.vocab_size - 1, has_bias="logit_bias" in state.tensors)
    table = {rule.there: rule for rule in openai.rules(built, text_prefix(state.tensors))}
    return not faults_of(table, state.tensors, openai.is_buffer)
