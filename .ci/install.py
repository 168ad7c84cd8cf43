"""Make a virtual environment with what some extras of pyproject.toml need, each file checked against requirements.lock.

    python3.11 .ci/install.py FOLDER EXTRA...

An environment that is there already is kept and brought up to the lock; packages of other extras in it stay. The system
needs nothing beyond Python and pip. Exits with one sentence when the Python is another than the project's.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

VERSION = (3, 11)
ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"


def pyproject() -> dict:
    import tomllib  # not in the older Pythons that are to see the sentence about the version

    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def direct_requirements(extras: list[str]) -> list[str]:
    """What the extras ask for by name; an extra may include others, written as `parallax[other]`."""
    project = pyproject()["project"]
    wanted: dict[str, None] = {}
    for extra in extras:
        for requirement in project["optional-dependencies"][extra]:
            included = re.fullmatch(rf"{project['name']}\[(.+)\]", requirement)
            names = direct_requirements(included[1].split(",")) if included else [requirement]
            wanted.update(dict.fromkeys(names))
    return list(wanted)


def locked(package: str) -> tuple[str, str]:
    """(version, lines of hashes) of one package in the lock."""
    pin = re.search(rf"^{package}==(\S+)((?: \\\n +--hash=\S+)+)", LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    if pin is None:
        sys.exit(f"{LOCK.name} does not pin {package}: make lock writes it anew.")
    return pin[1], pin[2]


def says(python: Path, question: str) -> str:
    """What an interpreter prints when asked; empty if it is not there or fails."""
    try:
        answer = subprocess.run([python, "-c", question], check=False, capture_output=True, text=True)
    except OSError:
        return ""
    return answer.stdout.strip()


def installed(python: Path, package: str) -> str:
    """The version of a package in the environment, without the name of its build (`+cpu`); empty if it is missing."""
    return says(python, f"import importlib.metadata as m; print(m.version({package!r}))").partition("+")[0]


def run_pip(pip: list[str | Path], arguments: list[str | Path]) -> str:
    """Run `pip install`; of its many lines show those that tell how far it is. Returns its errors, if any."""
    command = [*pip, "install", "--disable-pip-version-check", "--only-binary", ":all:", *arguments]
    said = []
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        for line in process.stdout or ():
            said.append(line)
            if line.lstrip().startswith(("Downloading ", "Installing ")):
                print("  " + line.strip()[:110], file=sys.stderr)
    if process.returncode == 0:
        return ""
    first = next((number for number, line in enumerate(said) if line.startswith("ERROR")), 0)
    return "".join(said[first:])


def install_exactly(pip: list[str | Path], requirement: str, hashes: str) -> str:
    """Install one package and none of its dependencies; returns pip's errors."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as pin:
        pin.write(f"{requirement}{hashes}\n")
        pin.flush()
        return run_pip(pip, ["--no-deps", "--require-hashes", "-r", pin.name])


def install_pip(python: Path) -> str:
    """The lock's own pip: older ones do not take hashes in a constraints file (pip's issue 9243). Returns its errors.

    The system's pip installs it, since Debian's Python can have pip and yet no `ensurepip`.
    """
    version, hashes = locked("pip")
    if installed(python, "pip") == version:
        return ""
    pip: list[str | Path] = [sys.executable, "-m", "pip", "--python", python]
    if not says(Path(sys.executable), "import pip; print(pip)"):
        subprocess.run([python, "-m", "ensurepip"], check=True, stdout=subprocess.DEVNULL)
        pip = [python, "-m", "pip"]
    return install_exactly(pip, f"pip=={version}", hashes)


def install_torch(python: Path) -> None:
    """The CPU build, where pip is configured with a source that has it; a tenth of the size, and the lock names it too.

    Left to choose, pip takes the default build with its gigabytes of CUDA, since the registry states that one's hash
    beforehand and a folder of wheels states none. Where there is no CPU build, nothing happens here, and the default
    one comes with the rest.
    """
    version, hashes = locked("torch")
    if installed(python, "torch") != version:
        install_exactly([python, "-m", "pip"], f"torch=={version}+cpu", hashes)


def packages_alone() -> list[str]:
    """The packages of which pyproject.toml says that they need nothing, whatever they say themselves."""
    stated = pyproject()["tool"]["uv"]["dependency-metadata"]
    return [package["name"] for package in stated if package["requires-dist"] == []]


def install_alone(python: Path, package: str) -> str:
    """One package at the lock's version without what it needs; returns pip's errors."""
    version, hashes = locked(package)
    if installed(python, package) == version:
        return ""
    return install_exactly([python, "-m", "pip"], f"{package}=={version}", hashes)


def main(folder: str, *extras: str) -> str:
    """Returns what went wrong, in pip's words; empty if nothing did."""
    environment = Path(folder)
    python = environment / "bin" / "python"
    if says(python, "import sys; print(sys.version_info[:2])") != str(VERSION):
        print(f"making {folder} with {sys.executable}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", environment], check=True)
    print(f"installing into {folder}: {', '.join(extras)}", file=sys.stderr)
    if errors := install_pip(python):
        return errors
    requirements = direct_requirements(list(extras))
    if any(requirement.startswith("torch==") for requirement in requirements):
        install_torch(python)
    for package in packages_alone():
        asked = [requirement for requirement in requirements if requirement.startswith(package)]
        if asked and (errors := install_alone(python, package)):
            return errors
        requirements = [requirement for requirement in requirements if requirement not in asked]
    # As constraints, the lock holds for what the extras ask for and for what those need in turn, and nothing else of it
    # is installed; its hashes put pip into --require-hashes mode, where a package without one is an error.
    return run_pip([python, "-m", "pip"], ["--constraint", LOCK, *requirements])


if __name__ == "__main__":
    if sys.version_info[:2] != VERSION:
        found = "{} is {}.{}".format(sys.executable, *sys.version_info[:2])
        sys.exit("Parallax needs Python {}.{}, and {}; name one with PYTHON=...".format(*VERSION, found))
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]) or None)
