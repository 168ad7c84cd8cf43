"""The data folder that a command works on, when no service has it open."""

from __future__ import annotations

import argparse
from pathlib import Path

from app.settings import read_settings


def add_data(parser: argparse.ArgumentParser) -> None:
    """`--data`; by default the folder that `serve` would take with the same settings."""
    parser.add_argument(
        "--data",
        type=Path,
        default=read_settings(allow_open=True).data,
        metavar="DIR",
        help="the data folder (%(default)s)",
    )
