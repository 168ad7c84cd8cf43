"""The command line: `python -m model info | export`.

Results go to stdout, logs to stderr. The exit status is 0, 1 if the command failed, 2 if it was misused.
"""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from safetensors import safe_open

from model.errors import ParallaxError
from model.folder import ModelFolder, read_folder


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m model", description="Look at and convert models.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    info = commands.add_parser("info", help="architecture, parameters, embedding size, preprocessing, fingerprint")
    info.set_defaults(run=_info)
    export = commands.add_parser("export", help="write the files that the fast runtime loads")
    export.add_argument("--format", choices=("onnx",), default="onnx", help="what to write (default: onnx)")
    export.set_defaults(run=_export)
    for command in (info, export):
        command.add_argument("model", metavar="MODEL_DIR", type=Path)
        command.add_argument("--json", action="store_true", help="print the result as JSON")
    parsed = parser.parse_args(arguments)
    try:
        result: dict[str, object] = parsed.run(read_folder(parsed.model))
    except ParallaxError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(result) if parsed.json else "\n".join(f"{key:15} {_text(value)}" for key, value in result.items()))
    return 0


def _info(folder: ModelFolder) -> dict[str, object]:
    towers = {"image": 0, "text": 0, "other": 0}
    with safe_open(folder.weights, framework="numpy") as weights:
        dtypes = {weights.get_slice(name).get_dtype() for name in weights.keys()}  # noqa: SIM118 - not a mapping
        for name in weights.keys():  # noqa: SIM118
            part = name.partition("_")[0]
            towers[part if part in towers else "other"] += math.prod(weights.get_slice(name).get_shape())
    return {
        "name": folder.config.name,
        "embedding_dim": folder.config.embedding_dim,
        "parameters": {**towers, "total": sum(towers.values())},
        "weights": f"{', '.join(sorted(dtypes))}, {folder.weights.stat().st_size:,} bytes",
        "vision": folder.config.vision.model_dump(),
        "text": folder.config.text.model_dump(),
        "preprocessing": folder.preprocess.model_dump(),
        "exported": folder.exported,
        "fingerprint": folder.fingerprint,
    }


def _export(folder: ModelFolder) -> dict[str, object]:
    try:
        from model.export import export_onnx
    except ModuleNotFoundError as error:
        raise ParallaxError(f"An export needs {error.name}, which is installed for training: `make setup`.") from error
    return {"written": [str(path) for path in export_onnx(folder)]}


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {entry}" for key, entry in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


if __name__ == "__main__":
    sys.exit(main())
