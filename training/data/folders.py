"""Folders of picture files: captions in files beside them, or the names of their folders as classes."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from model.shards import PICTURE_EXTENSIONS
from training.data.bad import BadSample
from training.data.data_set import DataSet, Reference, read_file
from training.data.words import Words, words, words_of_files


@dataclass(frozen=True, slots=True)
class InFolder(Reference):
    """The name of a picture's file, and the names of those beside it that say something of it."""

    name: str
    text: str | None
    fields: str | None


def is_picture(name: str) -> bool:
    """Whether a file is a picture, by its name."""
    return not name.startswith(".") and name.rpartition(".")[2].lower() in PICTURE_EXTENSIONS


def walk(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """(folder, names of its files) of a folder and all below it, in an order that does not change; hidden ones not."""
    for path, inner, names in os.walk(folder, followlinks=True):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        yield Path(path), sorted(names)


class Folder(DataSet[InFolder]):
    """Pictures below a folder; each folder that holds some is a part.

    With `classes`, the folder that a picture lies in names what it shows; else `a.jpg` has its caption in `a.txt` or
    `a.json`, as img2dataset writes files.
    """

    def __init__(self, folder: Path, *, classes: bool) -> None:
        self._folder, self._classes = folder, classes
        self._pictures: list[int] = []
        parts = []
        for path, names in walk(folder):
            count = sum(map(is_picture, names))
            if count and not (classes and path == folder):
                parts.append(str(path))
                self._pictures.append(count)
        self.parts = parts
        total = f"{sum(self._pictures):,} pictures"
        self.description = (
            f"folder of classes: {total} in {len(parts):,} folders, whose names are the captions"
            if classes
            else f"folder of {total} with captions beside them"
        )

    def references(self, part: int) -> Iterator[InFolder]:
        """The pictures of one folder by name."""
        folder = Path(self.parts[part])
        names = sorted(entry.name for entry in os.scandir(folder) if entry.is_file())
        there = set(names)
        for name in filter(is_picture, names):
            stem = name.rpartition(".")[0]
            text, fields = (beside if beside in there else None for beside in (f"{stem}.txt", f"{stem}.json"))
            yield InFolder(part, str((folder / name).relative_to(self._folder)), name, text, fields)

    def words(self, reference: InFolder) -> Words:
        """From the files beside the picture, or from the name of its folder."""
        folder, source = Path(self.parts[reference.part]), str(self._folder)
        text, fields = (
            read_file(folder / name, reference.key, source) if name and not self._classes else None
            for name in (reference.text, reference.fields)
        )
        try:
            return words(folder.name.replace("_", " ")) if self._classes else words_of_files(text, fields)
        except ValueError as error:
            raise BadSample(reference.key, source, str(error)) from None

    def picture(self, reference: InFolder) -> bytes:
        """The content of the picture's file."""
        return read_file(Path(self.parts[reference.part]) / reference.name, reference.key, str(self._folder))

    def files(self) -> Iterator[tuple[str, int]]:
        """Pictures and what is said of them."""
        for part in range(len(self.parts)):
            for reference in self.references(part):
                folder = Path(self.parts[part])
                for name in (reference.name, reference.text, reference.fields):
                    if name:
                        yield str((folder / name).relative_to(self._folder)), (folder / name).stat().st_size
