"""Run inside the image, as its user: the service becomes ready with the demo gallery, finds, and stops when told to."""

import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

PATIENCE_S = 120
DEMO = Path("app/demo/twemoji.tar")


def get(port: int, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return json.load(answer)


def seconds_until_ready(port: int, service: subprocess.Popen[bytes]) -> float:
    started = time.monotonic()
    while service.poll() is None and time.monotonic() - started < PATIENCE_S:
        try:
            get(port, "/readyz")
        except (urllib.error.URLError, ConnectionError):  # not listening yet, or 503
            time.sleep(0.1)
        else:
            return time.monotonic() - started
    sys.exit("the service in the image did not become ready")


def main() -> None:
    if os.getuid() == 0:
        sys.exit("the image runs as root")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tarfile.open(DEMO) as shard:
        pictures = sum(name.endswith(".json") for name in shard.getnames())
    service = subprocess.Popen(["python", "-m", "app", "serve", "--port", str(port)])
    try:
        seconds = seconds_until_ready(port, service)
        total = get(port, "/v1/images?limit=1")["total"]
        if total != pictures:
            sys.exit(f"the demo gallery has {total} of {pictures} pictures")
        found = get(port, "/v1/search?q=rocket&limit=1")["results"][0]["id"]
    finally:
        service.send_signal(signal.SIGTERM)
        code = service.wait(30)
    if code != 0:
        sys.exit(f"SIGTERM ended the service with {code}, not 0")
    print(f"checked as user {os.getuid()}: {total} pictures ready in {seconds:.1f} s, rocket finds {found}")


if __name__ == "__main__":
    main()
