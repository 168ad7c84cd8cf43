"""The rooms of the service stand on one another, and none on itself: a change reaches those above, and nobody else."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

from tests.app.process import ROOT

APP = ROOT / "app"
LARGEST_ROOM = 13


def parts(file: Path) -> Iterator[str]:
    """What a file imports of the service, dotted, without `app`."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and room(node.module or "") == "app":
            assert node.module is not None
            yield from (f"{node.module}.{name.name}".removeprefix("app.") for name in node.names)


def room(path: str) -> str:
    """storage.catalog.Catalog → storage; what is in no folder is a room of its own."""
    return path.partition(".")[0]


def test_no_room_needs_one_that_needs_it() -> None:
    needs: dict[str, set[str]] = {}
    for file in APP.rglob("*.py"):
        own = room(file.relative_to(APP).with_suffix("").as_posix().replace("/", "."))
        if own not in ("__init__", "__main__"):
            needs.setdefault(own, set()).update({room(part) for part in parts(file)} - {own})
    order = list(TopologicalSorter(needs).static_order())  # raises CycleError
    assert order.index("storage") < order.index("index") < order.index("gallery") < order.index("routes")


def test_a_room_is_small_enough_to_be_known() -> None:
    for folder in (path.parent for path in APP.rglob("__init__.py")):
        files = sorted(file.name for file in folder.glob("*.py"))
        assert len(files) <= LARGEST_ROOM, (folder.name, files)
