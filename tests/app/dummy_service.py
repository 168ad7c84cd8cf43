"""The service with the small encoder, as a process of its own: python -m tests.app.dummy_service DATA [SHARD]"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import app.startup
from app.commands.serve import serve
from app.settings import Settings
from tests.app.dummy import ColourEncoder

if __name__ == "__main__":
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    if sys.argv[2:]:
        app.startup.SHARD = Path(sys.argv[2])
    settings = Settings(data=Path(sys.argv[1]), port=0, demo=bool(sys.argv[2:]))
    sys.exit(serve(settings, ColourEncoder()))
