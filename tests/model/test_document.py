"""docs/model.md leads to what is there: every file, every name in it, every figure."""

import ast
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "model.md").read_text(encoding="utf-8")
REFERENCES = re.findall(r"\[`([^`]+)`\]\(([^)]+\.py)\)", TEXT)
LINKS = re.findall(r"\]\(([^)#]+)\)", TEXT)


def names(file: Path) -> set[str]:
    """What a module defines at its top, and its own name."""
    found = {file.stem}
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
    return found


@pytest.mark.parametrize(("name", "path"), REFERENCES, ids=[name for name, _ in REFERENCES])
def test_every_name_is_in_its_file(name, path):
    assert name in names(DOCS / path)


def test_every_link_leads_somewhere():
    assert [path for path in LINKS if not (DOCS / path).exists()] == []


def test_every_step_has_its_code_and_its_figure():
    """The chain from Q, K and V to the loss; what follows it, search and weights, has code alone."""
    _, *steps = re.split(r"^## ", TEXT, flags=re.MULTILINE)
    chain = [step for step in steps if not step.startswith(("Search", "Weights"))]
    assert len(chain) == 12
    for step in chain:
        title = step.splitlines()[0]
        assert re.search(r"\[`\w+`\]\(\.\./\S+\.py\)", step), title
        assert re.search(r"^!\[.+\]\(figures/\w+\.png\)\n\n\*[^*]", step, re.MULTILINE), f"{title}: figure and caption"
