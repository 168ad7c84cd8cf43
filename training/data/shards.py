"""WebDataset shards: tar archives in which files of one name, `KEY.jpg`, `KEY.txt` and `KEY.json`, are one sample."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from model.errors import ShardError
from model.shards import PICTURE_EXTENSIONS
from training.data.bad import BadSample
from training.data.data_set import DataSet, Reference
from training.data.example import DataError
from training.data.tar_index import Member, members
from training.data.words import Words, words_of_files


@dataclass(frozen=True, slots=True)
class InShard(Reference):
    """(offset, size) in the archive of a sample's picture, caption and fields, the last two where they are there."""

    picture: tuple[int, int]
    text: tuple[int, int] | None
    fields: tuple[int, int] | None


class Shards(DataSet[InShard]):
    """Shards as img2dataset and WebDataset write them. Of a shard its headers are read, then single samples."""

    def __init__(self, paths: Sequence[Path], description: str) -> None:
        """Raises DataError where one of the archives is not there, or is none that can be read at any place."""
        self.description = description
        self.parts = [str(path) for path in paths]
        missing = [part for part in self.parts if not Path(part).is_file()]
        if missing:
            raise DataError(
                f"{len(missing):,} of {len(self.parts):,} shards do not exist, the first of them {missing[0]}"
            )

    def references(self, part: int) -> Iterator[InShard]:
        """In the order of the archive. Members without a picture beside them are left out."""
        try:
            named = ((*_split(member.name), member) for member in members(Path(self.parts[part])))
            for key, group in groupby(named, key=lambda member: member[0]):
                found = _reference(part, key, [(extension, member) for _, extension, member in group])
                if found is not None:
                    yield found
        except ShardError as error:
            raise DataError(str(error)) from error

    def words(self, reference: InShard) -> Words:
        """From `KEY.txt`, else from a caption in `KEY.json`."""
        text = self._read(reference, reference.text) if reference.text else None
        fields = self._read(reference, reference.fields) if reference.fields else None
        try:
            return words_of_files(text, fields)
        except ValueError as error:
            raise BadSample(reference.key, self.parts[reference.part], str(error)) from None

    def picture(self, reference: InShard) -> bytes:
        """The bytes of the picture's member."""
        return self._read(reference, reference.picture)

    def files(self) -> Iterator[tuple[str, int]]:
        """The archives by their names without folders: a data set that is moved stays the same."""
        for part in self.parts:
            yield Path(part).name, Path(part).stat().st_size

    def _read(self, reference: InShard, place: tuple[int, int]) -> bytes:
        offset, size = place
        try:
            with Path(self.parts[reference.part]).open("rb", buffering=0) as file:
                data = os.pread(file.fileno(), size, offset)
        except OSError as error:
            raise BadSample(reference.key, self.parts[reference.part], f"cannot be read: {error.strerror}") from None
        if len(data) != size:
            raise BadSample(reference.key, self.parts[reference.part], "the shard is cut off within this sample")
        return data


def _split(name: str) -> tuple[str, str]:
    """As WebDataset does: the key ends at the first dot of the file name; folders belong to the key."""
    folder, slash, file = name.rpartition("/")
    stem, _, extension = file.partition(".")
    return folder + slash + stem, extension.lower()


def _reference(part: int, key: str, found: list[tuple[str, Member]]) -> InShard | None:
    places = {extension: (member.offset, member.size) for extension, member in reversed(found)}
    picture = next((extension for extension, _ in found if extension in PICTURE_EXTENSIONS), None)
    if picture is None:
        return None
    return InShard(part, key, places[picture], places.get("txt"), places.get("json"))
