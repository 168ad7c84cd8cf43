"""The house rules: who may import whom, what stays out of a serving process and what stays out of the repository."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FORBIDDEN = {"model": {"app", "training"}, "app": {"training"}, "training": {"app"}}
UNPICKLERS = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "jsonpickle", "marshal", "shelve"}
THE_UNPICKLER = Path("model/importing/pickles.py")
"""Reads checkpoints from elsewhere, offline, by a machine that knows the names of tensors and no others."""
LONGEST_FILE = 450
GENERATED = {"node_modules", "__pycache__"}
GENERATED_AT_THE_TOP = re.compile("data(-.*)?|models|runs|build|dist")
HIDDEN_BUT_OURS = {".ci"}


def files(*suffixes: str) -> list[Path]:
    """Every file of the repository with one of the suffixes, or with any; what is generated is left out."""
    found: list[Path] = []
    for folder, inner, names in os.walk(ROOT):
        at_the_top = Path(folder) == ROOT
        seen = (name for name in inner if not name.startswith(".") or name in HIDDEN_BUT_OURS)
        inner[:] = [
            name
            for name in seen
            if name not in GENERATED
            and not name.endswith(".egg-info")
            and not (at_the_top and GENERATED_AT_THE_TOP.fullmatch(name))
        ]
        found += [Path(folder, name) for name in names if not suffixes or name.endswith(suffixes)]
    return sorted(found)


def rooms(*names: str) -> list[Path]:
    """The Python files of these top-level packages."""
    return [file for file in files(".py") if file.relative_to(ROOT).parts[0] in names]


def imports(source: str, package: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """(line, absolute name of the module) of each import, those inside functions and by name at run time too."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import():
                yield from ((node.lineno, imported.name) for imported in node.names)
            case ast.ImportFrom():
                above = package[: len(package) - node.level + 1] if node.level else ()
                below = [node.module] if node.module else [imported.name for imported in node.names]
                yield from ((node.lineno, ".".join([*above, name])) for name in below)
            case ast.Call(
                func=ast.Attribute(attr="import_module") | ast.Name(id="import_module" | "__import__"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield node.lineno, name


def breaches(names: dict[str, set[str]], exempt: Path | None = None) -> list[str]:
    """`file:line imports module`, for every import in a package of a module that the package may not have.

    The file `exempt` may import what it wants.
    """
    return [
        f"{file.relative_to(ROOT)}:{line} imports {module}"
        for package, forbidden in names.items()
        for file in rooms(package)
        if file.relative_to(ROOT) != exempt
        for line, module in imports(file.read_text(encoding="utf-8"), file.relative_to(ROOT).parts[:-1])
        if module.split(".")[0] in forbidden
    ]


def modules_after(statement: str) -> set[str]:
    """The names of the modules that a new interpreter has loaded after a statement."""
    question = f"{statement}\nimport sys\nprint(*sys.modules, sep='\\n')"
    answer = subprocess.run([sys.executable, "-c", question], cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return set(answer.stdout.split())


def test_rooms_import_only_what_they_may() -> None:
    assert breaches(FORBIDDEN) == []


@pytest.mark.parametrize(
    "source",
    [
        "import app",
        "from app.settings import Settings",
        "def later():\n    import app.server",
        "from .. import app",
        "from ..app import server",
        "import importlib\nimportlib.import_module('app.server')",
    ],
)
def test_every_way_to_import_is_seen(source: str) -> None:
    assert "app" in {module.split(".")[0] for _, module in imports(source, ("model",))}


@pytest.mark.parametrize("statement", ["from model import load", "import app", "import app.server"])
def test_serving_does_not_load_torch(statement: str) -> None:
    assert modules_after(statement).isdisjoint({"torch", "training", "matplotlib", "onnx"})


def test_nothing_that_serves_unpickles() -> None:
    assert breaches({"app": UNPICKLERS, "model": UNPICKLERS}, THE_UNPICKLER) == []
    for file in rooms("app", "model"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and isinstance(node.value, ast.Constant):
                place = f"{file.relative_to(ROOT)}:{node.value.lineno}"
                assert (node.arg, node.value.value) not in {("allow_pickle", True), ("weights_only", False)}, place


def test_the_one_unpickler_looks_every_name_up_by_itself() -> None:
    """Of the module that can run anything it uses the class to inherit from, and that with its own table of names."""
    source = (ROOT / THE_UNPICKLER).read_text(encoding="utf-8")
    assert re.findall(r"\bpickle\.\w+", source) == ["pickle.Unpickler"]
    assert "def find_class(" in source


@pytest.mark.parametrize(
    "statement", ["import model", "from model import load", "import model.__main__", "import app", "import app.server"]
)
def test_nothing_loads_the_unpickler_but_the_command_that_imports(statement: str) -> None:
    assert {module for module in modules_after(statement) if module.startswith("model.importing")} == set()


@pytest.mark.parametrize("file", files(".py", ".js", ".css", ".html"), ids=lambda file: str(file.relative_to(ROOT)))
def test_a_file_holds_one_idea(file: Path) -> None:
    lines = len(file.read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST_FILE, f"{lines} lines: which second idea moved in?"


def test_repository_names_no_registry_and_no_machine() -> None:
    """It is cloned to where packages come from elsewhere, and where no folder is called as on the author's machine."""
    registry = r"\b(?:pypi|pythonhosted|npmjs|debian|ubuntu|nodesource)\.(?:org|com|net)\b"
    machine = r"(?<![\w.~-])/(?:work|root|opt/(?:wheels|pypi)|Users)/\w"
    named = [
        f"{file.relative_to(ROOT)}: {found[0]}"
        for file in files()
        for found in re.finditer(f"{registry}|{machine}", file.read_text(encoding="utf-8", errors="ignore"))
    ]
    assert named == []


def test_lock_covers_every_extra_with_hashes() -> None:
    """`make serve` installs in pip's --require-hashes mode; a requirement that is missing here would stop it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pins = dict(re.findall(r"^([a-z0-9-]+)==(\S+)(?= \\\n    --hash=sha256:[0-9a-f]{64}\b)", lock, re.MULTILINE))
    assert len(pins) == len(re.findall(r"^[a-zA-Z]", lock, re.MULTILINE)), "a pin without a hash"
    asked = {name for extra in project["optional-dependencies"].values() for name in extra}
    names = {re.split(r"[\[<>=!~;\s]", requirement)[0] for requirement in asked} - {project["name"]}
    assert names <= pins.keys(), f"run make lock: {names - pins.keys()}"


def test_lock_takes_both_builds_of_torch() -> None:
    """Without the hash of the CPU build, a machine that has it would download gigabytes of CUDA instead."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    settings = dict(re.findall(r"^(TORCH_CPU_\w+)\s*:= (\S+)", makefile, re.MULTILINE))
    pin = re.search(rf"^torch=={settings['TORCH_CPU_VERSION']} .*(?:\n    --hash=.*)+", lock, re.MULTILINE)
    assert pin is not None
    assert pin[0].count("--hash=") > 1
    assert settings["TORCH_CPU_HASH"] in pin[0]
