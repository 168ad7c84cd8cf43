"""Where the service is that a command speaks to."""

from __future__ import annotations

import argparse

from app.settings import read_settings


def add_url(parser: argparse.ArgumentParser) -> None:
    """`--url`; by default the address that `serve` would take with the same settings."""
    settings = read_settings(allow_open=True)
    default = f"http://{settings.host}:{settings.port}"
    parser.add_argument("--url", default=default, help=f"address of the service ({default})")
