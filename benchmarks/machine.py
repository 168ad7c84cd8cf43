"""A report of measurements as a file, which tells what they were taken on."""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path

from app.settings import SHIPPED_MODEL
from model.folder import read_folder


def write_report(path: Path, packages: Iterable[str], report: Mapping[str, object]) -> None:
    """Write a report as JSON, headed by the machine, the versions of Python and of these packages, and the model that
    was shipped at the time; say where."""
    taken_on = {
        "machine": {"system": platform.system(), "processor": _processor(), "cores": os.cpu_count()},
        "versions": {"python": platform.python_version(), **{package: version(package) for package in packages}},
        "shipped_model": read_folder(SHIPPED_MODEL).fingerprint,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**taken_on, **report}, indent=2) + "\n", encoding="utf-8")
    print(f"written to {path}", file=sys.stderr)


def _processor() -> str:
    """As its maker names it, where Linux tells; Python itself knows the architecture alone there."""
    try:
        told = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        told = None
    return told[1] if told else platform.processor() or platform.machine()
