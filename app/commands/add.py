"""`add`: put image files and whole folders into a gallery, through a running service or straight into a data folder."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from app.commands.address import add_url, open_client
from app.errors import ServiceProblem
from app.operations.progress import ProgressBar
from app.records.metadata import Metadata, parse_metadata
from app.schemas import AddedImage
from app.settings import read_settings
from model.shards import PICTURE_EXTENSIONS

BATCH_FILES = 32
BATCH_BYTES = 8_000_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a picture: its id, or what is wrong with it."""

    id: str = ""
    duplicate: bool = False
    problem: str = ""


Add = Callable[[Sequence[bytes], Sequence[Metadata]], list[Outcome]]


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="image file, or folder with all below it")
    parser.add_argument("--metadata", metavar="JSON", help="a JSON object for every picture, beside its filename")
    parser.add_argument("--data", type=Path, metavar="DIR", help="add to a data folder that no service has open")
    parser.add_argument("--json", action="store_true", help="the outcome as JSON")
    add_url(parser, writes=True)


def run(arguments: argparse.Namespace) -> int:
    (metadata,) = parse_metadata(arguments.metadata, 1)
    outcomes: dict[Path, Outcome] = {}
    names = dict(_find(arguments.paths, outcomes))
    with ExitStack() as stack, ProgressBar("adding") as bar:
        add = _to_folder(stack, arguments.data) if arguments.data else _to_service(stack, arguments)
        bar(0, len(names))
        for batch in _read(names, outcomes):
            facts = [{"filename": readable(names[path])} | metadata for path in batch]
            outcomes |= zip(batch, add(list(batch.values()), facts), strict=True)
            bar(len(outcomes), len(names))
    failed = {path: outcome.problem for path, outcome in outcomes.items() if outcome.problem}
    for path, problem in failed.items():
        print(f"{path}: {problem}", file=sys.stderr)
    print(_json(outcomes) if arguments.json else _summary(outcomes.values()))
    return 1 if failed else 0


def _find(paths: Iterable[Path], outcomes: dict[Path, Outcome]) -> Iterator[tuple[Path, str]]:
    """Files to add, each with its name below the folder that was given. Files that are named are taken as they are.

    Folders that cannot be read go to `outcomes`.
    """

    def unreadable(error: OSError) -> None:
        outcomes[Path(error.filename)] = Outcome(problem=f"The folder cannot be read: {error.strerror}.")

    for path in paths:
        if not os.path.isdir(path):  # noqa: PTH112 - is_dir() raises where it may not look; reading the file says why
            yield path, path.name
        for folder, folders, files in os.walk(path, onerror=unreadable):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for file in sorted(files):
                found = Path(folder, file)
                if found.suffix.lower().removeprefix(".") in PICTURE_EXTENSIONS and not file.startswith("."):
                    yield found, found.relative_to(path).as_posix()


def _read(paths: Iterable[Path], outcomes: dict[Path, Outcome]) -> Iterator[dict[Path, bytes]]:
    """The files' bytes, some at a time. What cannot be read goes to `outcomes`."""
    batch: dict[Path, bytes] = {}
    for path in paths:
        try:
            batch[path] = path.read_bytes()
        except OSError as error:
            outcomes[path] = Outcome(problem=f"The file cannot be read: {error.strerror}.")
        if len(batch) == BATCH_FILES or sum(map(len, batch.values())) >= BATCH_BYTES:
            yield batch
            batch = {}
    if batch:
        yield batch


def _to_service(stack: ExitStack, arguments: argparse.Namespace) -> Add:
    client = stack.enter_context(open_client(arguments))

    def add(pictures: Sequence[bytes], metadata: Sequence[Metadata]) -> list[Outcome]:
        try:
            answers = client.add_many(pictures, metadata)
        except ServiceProblem as error:
            if error.status != 413:
                raise
            if len(pictures) == 1:
                return [Outcome(problem=str(error))]
            pairs = zip(pictures, metadata, strict=True)
            return [outcome for picture, facts in pairs for outcome in add([picture], [facts])]
        return [
            Outcome(one.id, one.duplicate) if isinstance(one, AddedImage) else Outcome(problem=one.detail)
            for one in answers
        ]

    return add


def _to_folder(stack: ExitStack, path: Path) -> Add:
    # These bring the model and the index with them, which a client does without.
    from app.gallery.gallery import Gallery, Upload
    from app.gallery.store import Added
    from app.startup import load_encoder
    from app.storage.folder import DataFolder

    settings = read_settings(data=path, allow_open=True)  # nobody is listened to
    folder = stack.enter_context(DataFolder(path))
    gallery = stack.enter_context(Gallery(folder, load_encoder(settings), max_pixels=settings.max_pixels))

    def add(pictures: Sequence[bytes], metadata: Sequence[Metadata]) -> list[Outcome]:
        uploads = [Upload(data, metadata=facts) for data, facts in zip(pictures, metadata, strict=True)]
        return [
            Outcome(one.record.id, one.duplicate) if isinstance(one, Added) else Outcome(problem=str(one))
            for one in gallery.add_many(uploads)
        ]

    return add


def readable(name: str) -> str:
    """A name as people read it. On Linux a file may be called anything, in whatever encoding an old disk had."""
    return os.fsencode(name).decode("utf-8", "replace")


def _summary(outcomes: Iterable[Outcome]) -> str:
    kinds = ["failed" if one.problem else "there already" if one.duplicate else "added" for one in outcomes]
    return ", ".join(f"{kinds.count(kind):,} {kind}" for kind in ("added", "there already", "failed"))


def _json(outcomes: dict[Path, Outcome]) -> str:
    files = [
        {"path": readable(str(path)), "problem": one.problem}
        if one.problem
        else {"path": readable(str(path)), "id": one.id, "duplicate": one.duplicate}
        for path, one in outcomes.items()
    ]
    return json.dumps({"files": files}, indent=2, ensure_ascii=False)
