"""Environments of the projects that we compare ourselves with, each in a folder of its own below `runs/peers`.

`benchmarks/peers/NAME.txt` pins what a peer needs beside our own packages, which it sees too, behind its own: the same
torch on both sides, and no second copy of it.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

PINS = Path(__file__).parent / "peers"
FOLDER = Path("runs/peers")


def interpreter(name: str) -> Path:
    """The Python of a peer's environment, made first if it is not there or its pins have changed.

    The packages are installed without what they ask for: the pins list all of it. Raises CalledProcessError.
    """
    pins = PINS / f"{name}.txt"
    folder = FOLDER / name
    python = folder / "bin" / "python"
    made_from = hashlib.sha256(pins.read_bytes()).hexdigest()
    stamp = folder / "made-from"
    if stamp.is_file() and stamp.read_text("ascii") == made_from:
        return python
    print(f"installing {name} into {folder}", file=sys.stderr)
    venv.create(folder, clear=True, with_pip=True)
    install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--requirement", pins)
    subprocess.run([python, *install], check=True)
    ours = sysconfig.get_path("purelib")
    theirs = next((folder / "lib").glob("python3*/site-packages"))
    (theirs / "ours.pth").write_text(f"{ours}\n", encoding="utf-8")
    stamp.write_text(made_from, encoding="ascii")
    return python
