"""What a reader needs to know to repeat a run: machine, versions, commit, data."""

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import torch

from training.data.example import Example

PACKAGES = ("numpy", "pillow", "tokenizers", "torch")


def environment(device: torch.device, processes: int) -> dict[str, object]:
    """Machine, versions and the commit of this code, with whether the code was changed since."""
    return {
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "processes": processes,
        "threads": torch.get_num_threads(),
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted": bool(_git("status", "--porcelain", "--untracked-files=no")),
    }


def data_hash(examples: Iterable[Example]) -> str:
    """SHA-256 over pictures, captions in all languages and concepts, in their order."""
    digest = hashlib.sha256()
    for example in examples:
        words: list[object] = [example.label, example.tags, example.captions, example.concept, example.style]
        words += [sorted(example.labels.items()), sorted(example.keywords.items())]
        for part in (example.picture, json.dumps(words).encode()):
            digest.update(len(part).to_bytes(8, "little"))
            digest.update(part)
    return digest.hexdigest()


def _git(*arguments: str) -> str:
    """What git says of the folder that holds this code; nothing where there is no git, or no repository."""
    folder = Path(__file__).parent
    try:
        ran = subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return ran.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
