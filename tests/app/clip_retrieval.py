"""`clip_client.py` of the installed clip-retrieval, as it is, without the package around it.

The package's `__init__` imports its back end, and that half the world; the file needs nothing but `requests`.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any


def _load() -> Any:
    package = importlib.util.find_spec("clip_retrieval")
    assert package is not None, "clip-retrieval is not installed: make setup does it"
    (folder,) = package.submodule_search_locations or ()
    spec = importlib.util.spec_from_file_location("clip_client", Path(folder, "clip_client.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


clip_client = _load()
