"""`serve`: run the service."""

from __future__ import annotations

import argparse
import logging
import signal
import socket
import sys
from pathlib import Path

import uvicorn

from app.admission.connection import Connection, most_connections
from app.errors import CannotListen
from app.inference.lane import Encoder
from app.operations.logs import configure_logs, log_format
from app.server import create_app
from app.settings import Settings, describe_settings, read_settings, unknown_settings
from app.startup import Startup

log = logging.getLogger("parallax")

KEEP_ALIVE_SECONDS = 75
"""More than the 60 of many proxies: who closes first may do so while the other one asks."""
DRAIN_SECONDS = 30
"""For accepted requests, after SIGTERM."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "settings, from the environment or a file .env; arguments come first:\n" + "\n".join(
        f"  {name}\n      {sentence} ({values})" for name, values, sentence in describe_settings()
    )
    parser.add_argument("--host", help="address to listen on")
    parser.add_argument("--port", type=int, help="port to listen on")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder that holds the catalog and the pictures")
    parser.add_argument("--model", type=Path, metavar="DIR", help="folder of the model")
    parser.add_argument(
        "--demo", action=argparse.BooleanOptionalAction, help="add the demo gallery at the first start", default=None
    )


def run(arguments: argparse.Namespace) -> int:
    settings = read_settings(
        host=arguments.host, port=arguments.port, data=arguments.data, model=arguments.model, demo=arguments.demo
    )
    configure_logs(log_format(settings))
    for name in unknown_settings():
        log.warning("%s is not a setting of this version", name)
    for sentence in settings.doubts():
        log.warning(sentence)
    return serve(settings)


def serve(settings: Settings, encoder: Encoder | None = None) -> int:
    """Run until SIGTERM or Ctrl-C, then finish accepted work. 1 if the service cannot start. Raises CannotListen."""
    listening = bind(settings.host, settings.port)
    Connection.most = most_connections()
    app = create_app(settings, encoder)
    startup: Startup = app.state.startup
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level=logging.ERROR,  # strangers who speak no HTTP are no news
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    server = _Server(config)
    startup.on_failure = server.stop
    # Uvicorn raises the signal once more when all is done; without a handler the exit status would not be 0.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        return 0
    if startup.failure is not None:
        log.error(startup.failure)
        return 1
    return 0


def bind(host: str, port: int) -> socket.socket:
    """A socket for the server. Raises CannotListen."""
    # The protocol is named because asyncio switches Nagle's algorithm off only on sockets that name it. With it every
    # answer comes 40 ms late: its head and its body are two small packets.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise CannotListen(f"Port {port} of {host} cannot be listened on: {error.strerror}.") from error
    return listening


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            log.info("open http://%s:%d in a browser", shown, port)

    def stop(self) -> None:
        self.should_exit = True
