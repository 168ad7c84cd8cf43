"""From a run to the model folder that the service loads."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from model.durable import write_atomic
from model.export import export_onnx
from model.folder import ModelFolder, check_target, write_folder
from training.config import StartSection, TrainingConfig
from training.evaluation.metrics import RANKS
from training.loop.checkpoint import CheckpointError, load_checkpoint
from training.loop.log import read_log
from training.loop.run import CONFIG, CURVES, ENVIRONMENT, TOKENIZER
from training.loop.start import model_config, read_tokenizer, start_model


def export_run(run: Path, model_dir: Path, *, halfway: bool = False) -> ModelFolder:
    """Write the averaged weights of a run's checkpoint, the large ones in float16, with all that belongs to them.

    With `halfway`, of a run that started from a model, the mean of those and of the model's: it forgets less, and often
    does better at what it was tuned for too (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models").
    ModelFolderError where `model_dir` is there and is no model folder.
    """
    check_target(model_dir)
    state = load_checkpoint(run)
    try:
        config = TrainingConfig.model_validate_json((run / CONFIG).read_bytes())
        tokenizer = read_tokenizer(config, run / TOKENIZER)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{run} is not a run folder: {error}") from error
    average = state["average"]
    if halfway:
        if not isinstance(config.model, StartSection):
            raise CheckpointError(f"{run} started from no model, so there is nothing that its weights are halfway to")
        average = _midway(start_model(config, tokenizer).state_dict(), average)
    weights = {name: value.contiguous().numpy() for name, value in _half(average).items()}
    card = _card(run, config, state, halfway)
    folder = write_folder(model_dir, model_config(config, tokenizer), config.model.preprocess, tokenizer, weights, card)
    for note in export_onnx(folder)[1]:
        print(note, file=sys.stderr)
    if (run / CURVES).is_file():
        write_atomic(model_dir / CURVES, (run / CURVES).read_bytes())
    else:
        (model_dir / CURVES).unlink(missing_ok=True)
    return folder


def _midway(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {
        name: torch.lerp(before[name], value, 0.5) if value.is_floating_point() else value
        for name, value in after.items()
    }


def _half(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Matrices and kernels in float16. Vectors and numbers stay as they are: they are small, and some of them, running
    variances and the logit scale, lie where float16 is coarse or ends.
    """
    matrices = (name for name, value in state.items() if value.is_floating_point() and value.ndim > 1)
    return state | {name: state[name].half() for name in matrices}


def _machine(environment: Mapping[str, Any]) -> str:
    device = f"{environment['cores']} CPU cores" if environment["device"] == "cpu" else str(environment["device"])
    processes = environment["processes"]
    return device if processes == 1 else f"{device}, {processes} processes"


def _card(run: Path, config: TrainingConfig, state: dict[str, Any], halfway: bool) -> str:
    """The model card: what the recipe says of command, data and licences, and what the run measured."""
    environment = json.loads((run / ENVIRONMENT).read_text("utf-8"))
    pictures = state["step"] * config.data.batch_size
    facts = {
        "seed": f"{config.seed}",
        "steps": f"{state['step']:,} of {config.steps:,}; {pictures:,} pictures",
        "time": f"{state['seconds'] / 60:.0f} min on {_machine(environment)}, torch {environment['torch']}",
        "weights": "the mean of those before and after tuning" if halfway else "averaged over steps",
    }
    records = [record for record in read_log(run) if record["step"] <= state["step"]]  # a stopped run has later ones
    if records:
        facts["last loss"] = f"{records[-1]['loss']:.3f}"
    validated: dict[str, float] = next((record for record in reversed(records) if "validation_R@1" in record), {})
    if validated and not halfway:
        recalls = ", ".join(f"R@{k} {validated[f'validation_R@{k}']:.3f}" for k in RANKS)
        facts["validation, label → picture"] = recalls
    table = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    curves = f"\n![loss, learning rate and validation recall by step]({CURVES})\n" if (run / CURVES).is_file() else ""
    return f"""# {config.model.name}

A CLIP model trained by Parallax: an image tower ({config.model.vision.kind}, {config.model.vision.image_size} px) and a
text tower ({config.model.text.kind}), {config.model.embedding_dim} dimensions.
{config.model.card}
## Training

| | |
|---|---|
{table}
{curves}"""
