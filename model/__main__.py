"""The command line: `python -m model import | info | export`.

Results go to stdout, logs to stderr. The exit status is 0, 1 if the command failed, 2 if it was misused.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from model.errors import ParallaxError, told
from model.folder import read_folder
from model.info import describe


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parser = _parser()
    parsed = parser.parse_args(arguments)
    if parsed.command == "export" and parsed.format == "onnx" and parsed.out is not None:
        parser.error("--out is for the other formats; onnx stays within MODEL_DIR, where it is loaded from")
    if parsed.command == "export" and parsed.format != "onnx" and parsed.calibration is not None:
        parser.error("--calibration is for onnx alone; the other formats hold the weights as they are")
    try:
        result: dict[str, object] = parsed.run(parsed)
    except (ParallaxError, OSError, ModuleNotFoundError) as error:
        return _fail(told(error))
    except KeyboardInterrupt:
        return _fail("Stopped.")
    print(json.dumps(result) if parsed.json else "\n".join(f"{key:15} {_text(value)}" for key, value in result.items()))
    return 0


def _fail(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m model", description="Look at and convert models.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")

    reading = commands.add_parser(
        "import",
        help="make a model folder of a checkpoint from elsewhere",
        description="Make a model folder of a checkpoint: a Hugging Face folder (CLIPModel, SiglipModel, "
        "Siglip2Model), an open_clip folder, a file of tensors in OpenAI's or open_clip's names (.safetensors, .pt, "
        ".pth, .bin, OpenAI's TorchScript archives), or hf-hub:NAME. Nothing in a pickled file is run.",
    )
    reading.set_defaults(run=_import)
    reading.add_argument("source", metavar="SOURCE", help="folder, file, or hf-hub:NAME")
    reading.add_argument("model", metavar="MODEL_DIR", type=Path, help="the folder to write")
    reading.add_argument(
        "--config",
        metavar="NAME",
        help="architecture of a single file: open_clip's name (ViT-B-32, RN50, ViT-B-16-SigLIP, …), a JSON file such "
        "as open_clip's, or openai (default: as the file shows, if it does)",
    )
    reading.add_argument(
        "--activation",
        choices=("gelu", "quick_gelu"),
        help="what the MLPs compute, where nothing in the checkpoint says it",
    )
    reading.add_argument(
        "--tokenizer", metavar="PATH", type=Path, help="folder or file of the tokenizer, if not beside the weights"
    )
    reading.add_argument(
        "--image-size", metavar="N", type=_size, help="interpolate the position embeddings to pictures of N × N pixels"
    )

    info = commands.add_parser("info", help="what a person needs to trust a model: architecture, source, fingerprint")
    info.set_defaults(run=_info)
    info.add_argument("model", metavar="MODEL_DIR", type=Path)

    export = commands.add_parser("export", help="write a model for the fast runtime, or for other programs")
    export.set_defaults(run=_export)
    export.add_argument("model", metavar="MODEL_DIR", type=Path)
    export.add_argument(
        "--format",
        choices=("onnx", "huggingface", "open_clip"),
        default="onnx",
        help="the fast runtime's graphs, a folder for transformers, or one for open_clip (default: onnx)",
    )
    export.add_argument("--out", metavar="DIR", type=Path, help="folder to write (default: MODEL_DIR/FORMAT)")
    export.add_argument(
        "--calibration",
        metavar="DIR",
        type=Path,
        help="pictures like yours, on which the precision is measured (default: some that are always there)",
    )
    for command in (reading, info, export):
        command.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def _size(text: str) -> int:
    size = int(text)
    if size < 1:
        raise ValueError(text)
    return size


def _import(parsed: argparse.Namespace) -> dict[str, object]:
    # Imported here: only this command may load what reads pickles.
    from model.importing.checkpoint import Wishes, import_checkpoint

    wishes = Wishes(
        architecture=parsed.config,
        activation=parsed.activation,
        tokenizer=parsed.tokenizer,
        image_size=parsed.image_size,
    )
    folder, found = import_checkpoint(parsed.source, parsed.model, wishes)
    for assumption in found.assumptions:
        print(f"assumed: {assumption}", file=sys.stderr)
    return {
        "written": str(folder.path),
        "kind": found.kind,
        "activation_from": found.activation_from,
        "assumed": list(found.assumptions),
        **describe(folder),
    }


def _info(parsed: argparse.Namespace) -> dict[str, object]:
    return describe(read_folder(parsed.model))


def _export(parsed: argparse.Namespace) -> dict[str, object]:
    folder = read_folder(parsed.model)
    out: Path = parsed.out or folder.path / parsed.format
    match parsed.format:
        case "huggingface":
            from model.exporting.huggingface import export_huggingface

            written, notes = export_huggingface(folder, out)
        case "open_clip":
            from model.exporting.open_clip import export_open_clip

            written, notes = export_open_clip(folder, out)
        case _:
            from model.export import export_onnx

            written, notes = export_onnx(folder, parsed.calibration)
            for note in notes:
                print(note, file=sys.stderr)
    return {"written": [str(path) for path in written], "notes": notes}


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {entry}" for key, entry in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


if __name__ == "__main__":
    sys.exit(main())
