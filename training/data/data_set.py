"""What every reader gives: the samples of a data set, found part by part and fetched one by one."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from training.data.example import Example
from training.data.words import Words


@dataclass(frozen=True, slots=True)
class Reference:
    """Where a sample lies; a few hundred bytes, of which tens of thousands are held and shuffled."""

    part: int
    key: str


R = TypeVar("R", bound=Reference)


class DataSet(ABC, Generic[R]):
    """Samples in parts: a shard, a row group, a folder, some thousand rows of a table.

    A part is listed when its turn comes and not before, so that a data set of any size is begun at once; what listing
    gives is references, never pictures. Any process may then fetch any of them, in any order.
    """

    description: str
    """What the data was taken for, as a person would say it."""
    parts: Sequence[str]
    """The name of each part, as reports call it."""

    @abstractmethod
    def references(self, part: int) -> Iterator[R]:
        """The samples of a part in their order. Raises DataError where the part is damaged, after what comes before."""

    @abstractmethod
    def words(self, reference: R) -> Words:
        """What is said of a picture. Raises BadSample."""

    @abstractmethod
    def picture(self, reference: R) -> bytes:
        """The bytes of a picture's file. Raises BadSample."""

    @abstractmethod
    def files(self) -> Iterator[tuple[str, int]]:
        """Name and size in bytes of what the data lies in, in an order that does not change."""

    def resident(self, part: int) -> int:
        """Bytes that a process holds as long as it fetches samples of this part, where they are not read singly."""
        del part
        return 0

    def example(self, reference: R) -> Example:
        """One sample, with its picture. Raises BadSample."""
        words = self.words(reference)
        return Example(picture=self.picture(reference), **words.as_example())

    def fingerprint(self) -> str:
        """SHA-256 of the names and sizes of the files: another data set has another one."""
        digest = hashlib.sha256()
        for name, size in self.files():
            digest.update(f"{name}\0{size}\n".encode(errors="surrogateescape"))
        return digest.hexdigest()

    def size(self) -> int:
        """Bytes of all its files together."""
        return sum(size for _, size in self.files())


def read_file(path: Path, key: str, source: str) -> bytes:
    """The content of the file of one sample. Raises BadSample where there is none."""
    from training.data.bad import BadSample

    try:
        return path.read_bytes()
    except OSError as error:
        raise BadSample(key, source, f"{path} cannot be read: {error.strerror}") from None
