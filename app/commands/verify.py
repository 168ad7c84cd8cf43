"""`verify`: whether a data folder is sound."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from app.commands.data import add_data
from app.gallery.verify import Findings, verify
from app.operations.progress import ProgressBar
from app.storage.folder import DataFolder


def configure(parser: argparse.ArgumentParser) -> None:
    add_data(parser)
    parser.add_argument("--json", action="store_true", help="what was found as JSON")


def run(arguments: argparse.Namespace) -> int:
    with DataFolder(arguments.data, create=False) as folder, ProgressBar("reading originals") as bar:
        findings = verify(folder, bar)
    print(
        json.dumps({"sound": not findings.faults, **asdict(findings)}, indent=2) if arguments.json else _text(findings)
    )
    for note in [] if arguments.json else findings.notes:
        print(note, file=sys.stderr)
    return 1 if findings.faults else 0


def _text(findings: Findings) -> str:
    faults = [f"{fault.at}: {fault.fault}" for fault in findings.faults]
    seen = f"{findings.pictures:,} pictures, {findings.originals:,} originals, {findings.vectors:,} vectors"
    summary = "all agree" if not faults else "1 fault" if len(faults) == 1 else f"{len(faults):,} faults"
    return "\n".join([*faults, f"{seen}: {summary}"])
