"""The service that a command speaks to."""

from __future__ import annotations

import argparse

from app.client import Client
from app.security.keys import own_key
from app.settings import read_settings


def add_url(parser: argparse.ArgumentParser, *, writes: bool) -> None:
    """`--url` and `--key`; by default the address and a key that `serve` would have with the same settings."""
    settings = read_settings(allow_open=True)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    default = f"http://{host}:{settings.port}"
    parser.add_argument("--url", default=default, help="address of the service (%(default)s)")
    parser.add_argument(
        "--key",
        default=own_key(settings, write=writes),
        help="a key for a service that asks for one (the first in the settings; a key given here can be seen by others"
        " on this machine)",
    )


def open_client(arguments: argparse.Namespace) -> Client:
    return Client(arguments.url, key=arguments.key)
