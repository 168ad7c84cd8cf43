"""The `evaluate` command: its arguments, and the files that it writes."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from model import Encoder
    from training.evaluation.evaluate import Measured

WRITTEN = ("result.json", "result.md", "recall.png", "slices.png", "distributions.png", "sheet.html")

CALIBRATED = ("calibration.json", "calibration.md", "reliability.png")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `python -m training evaluate` takes."""
    parser.add_argument("model", metavar="MODEL_DIR", type=Path)
    parser.add_argument(
        "data",
        metavar="DATA",
        type=Path,
        help="data set of any kind that can be trained on, or folder of folders of shards, each a split",
    )
    parser.add_argument("--gallery", metavar="DIR", type=Path, help="pictures among which to look for those of DATA")
    parser.add_argument(
        "--templates",
        metavar="FILE",
        type=Path,
        help="prompts of zero-shot classification, one a line, {} for the name",
    )
    parser.add_argument(
        "--languages", metavar="CODES", help="query in these languages, as de,es (default: in all that DATA has)"
    )
    parser.add_argument("--out", metavar="DIR", type=Path, help=f"write {', '.join(WRITTEN)} here")
    parser.add_argument(
        "--calibrate",
        action="store_true",
        help="fit relevance on the splits of DATA but train, and write it to MODEL_DIR; "
        f"with --out, {', '.join(CALIBRATED)} too",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(arguments: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Evaluate, and write the files that were asked for; returns the result and its table."""
    from model import load
    from model.durable import write_atomic
    from training.evaluation.evaluate import measure
    from training.evaluation.report import draw_distributions, draw_recalls, draw_slices, full_table, table
    from training.evaluation.sheet import contact_sheet
    from training.evaluation.zero_shot import TEMPLATES, read_templates

    templates = read_templates(arguments.templates) if arguments.templates else TEMPLATES
    languages = [code for code in arguments.languages.split(",") if code] if arguments.languages else None
    encoder = load(arguments.model)
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
    measured = measure(encoder, arguments.data, arguments.gallery, templates=templates, languages=languages)
    splits = {name: of_split.result for name, of_split in measured.items()}
    result = {"model": encoder.name, "fingerprint": encoder.fingerprint, "runtime": encoder.runtime, "splits": splits}
    if arguments.calibrate:
        result["calibration"] = _calibrate(encoder, measured, arguments.model, arguments.out)
    if out := arguments.out:
        write_atomic(out / "result.json", f"{json.dumps(result, indent=2, ensure_ascii=False)}\n".encode())
        write_atomic(out / "result.md", f"{full_table(splits)}\n".encode())
        draw_recalls(splits, out / "recall.png")
        draw_slices(splits, out / "slices.png")
        draw_distributions(measured, out / "distributions.png")
        write_atomic(out / "sheet.html", contact_sheet(encoder, measured).encode())
    return result, table(splits)


def _calibrate(encoder: Encoder, measured: Mapping[str, Measured], folder: Path, out: Path | None) -> dict[str, Any]:
    """Fit relevance on what the model was not trained on; what it is worth on the half that it was not fitted on."""
    from model.calibration import write_calibration
    from model.durable import write_atomic
    from training.evaluation.calibration import calibrate
    from training.evaluation.reliability import draw_reliability, summary, table

    held_out = {name: of_split.pictures for name, of_split in measured.items() if name != "train" or len(measured) == 1}
    calibration, judged = calibrate(encoder, held_out)
    write_calibration(folder, calibration)
    worth: dict[str, Any] = {kind: summary(of_kind) for kind, of_kind in judged.items()}
    if out:
        said = {"fingerprint": calibration.fingerprint, "data": calibration.data, **worth}
        write_atomic(out / "calibration.json", f"{json.dumps(said, indent=2, ensure_ascii=False)}\n".encode())
        write_atomic(out / "calibration.md", f"{table(worth)}\n".encode())
        draw_reliability(judged, out / "reliability.png")
    return worth
