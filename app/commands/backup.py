"""`backup`: copy a data folder, whether or not a service has it open."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from app.commands.data import add_data
from app.gallery.backup import back_up
from app.operations.progress import ProgressBar
from app.storage.folder import Layout


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("destination", type=Path, metavar="COPY", help="folder of the copy, a data folder of its own")
    add_data(parser)
    parser.add_argument("--json", action="store_true", help="the outcome as JSON")


def run(arguments: argparse.Namespace) -> int:
    source = Layout(arguments.data)
    with ProgressBar("copying originals") as bar:
        backup = back_up(source, arguments.destination, bar)
    if arguments.json:
        print(json.dumps(asdict(backup), indent=2))
    else:
        print(f"pictures in the copy: {backup.pictures:,}, originals that were new: {backup.copied:,}")
    for sha256 in backup.lost:
        print(f"The original {sha256} is missing or damaged; `python -m app verify` says whose it is.", file=sys.stderr)
    return 1 if backup.lost else 0
