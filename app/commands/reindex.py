"""`reindex`: make the vector index anew from the catalog."""

from __future__ import annotations

import argparse
import json
import sys
import threading
from pathlib import Path

from app.commands.data import add_data
from app.gallery.gallery import Gallery
from app.operations.progress import ProgressBar
from app.settings import read_settings
from app.startup import load_encoder
from app.storage.folder import DataFolder


def configure(parser: argparse.ArgumentParser) -> None:
    add_data(parser)
    parser.add_argument(
        "--model", type=Path, metavar="DIR", help="the model folder; pictures that it lacks are encoded"
    )
    parser.add_argument("--json", action="store_true", help="the outcome as JSON")


def run(arguments: argparse.Namespace) -> int:
    settings = read_settings(allow_open=True, data=arguments.data, model=arguments.model)
    with (
        DataFolder(settings.data, create=False) as folder,
        Gallery(folder, load_encoder(settings), max_pixels=settings.max_pixels) as gallery,
    ):
        with ProgressBar("encoding") as bar:
            gallery.encode_anew(bar, threading.Event())
        with ProgressBar("indexing") as bar:
            gallery.open_index(bar, threading.Event())
        pictures, indexed = len(gallery), gallery.indexed
    if arguments.json:
        print(json.dumps({"pictures": pictures, "indexed": indexed}))
    else:
        print(f"{indexed:,} of {pictures:,} pictures can be searched")
    if indexed < pictures:
        print("The rest have no usable original; `python -m app verify` names them.", file=sys.stderr)
    return 0 if indexed == pictures else 1
