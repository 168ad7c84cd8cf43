"""The keys of a recipe as a table, from their declarations: `python -m tests.training.config_table` writes it anew."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from training.config import TrainingConfig

PAGE = Path(__file__).parents[2] / "docs" / "training.md"
ELSEWHERE = {"model"}
"""The architecture, which is that of `config.json`."""


def rows(section: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """One line a key, depth first; a list of tables in brackets, as TOML has it."""
    for name, field in section.model_fields.items():
        inner = [kind for kind in (field.annotation, *get_args(field.annotation)) if isinstance(kind, type)]
        sections = [kind for kind in inner if issubclass(kind, BaseModel)]
        if prefix + name in ELSEWHERE:
            continue
        if sections:
            is_list = sections[0] is not field.annotation
            yield from rows(sections[0], f"[[{prefix}{name}]] " if is_list else f"{prefix}{name}.")
        else:
            yield f"| `{prefix}{name}` | {_default(field)} | {field.description} |"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value: Any = field.default
    if isinstance(value, tuple):
        value = [round(part, 3) if isinstance(part, float) else part for part in value]
    shown = f'"{value}"' if isinstance(value, str) else str(value).lower()
    return "" if value is None or value == "" else f"`{shown}`"


def table() -> str:
    return "\n".join(["| key | default | |", "|---|---|---|", *rows(TrainingConfig)])


def shown() -> str:
    """The table on the page."""
    found = re.search(r"^\| key \| default \| \|\n(?:\|.*\n)+", PAGE.read_text("utf-8"), re.MULTILINE)
    assert found, f"{PAGE} has no table of keys"
    return found[0].rstrip()


if __name__ == "__main__":
    PAGE.write_text(PAGE.read_text("utf-8").replace(shown(), table()), "utf-8")
