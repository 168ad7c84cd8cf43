"""Tables that name pictures by path: CSV, TSV and lines of JSON, one picture a row, some thousand rows at a time."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from training.data.bad import BadSample
from training.data.columns import columns
from training.data.data_set import DataSet, Reference, read_file
from training.data.example import DataError
from training.data.section import ColumnsSection
from training.data.words import Words, words

_ROWS = 8_192
"""Rows of a part."""
_LONGEST_FIELD = 1 << 24
DELIMITERS = {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True, slots=True)
class Row(Reference):
    """What a row says: the path of its picture, and its words as they stand there."""

    path: str
    captions: object
    tags: object
    concept: object
    style: object


class Rows(DataSet[Row]):
    """Pictures in files, named by rows whose paths begin at `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def words(self, reference: Row) -> Words:
        """As the row has it."""
        try:
            return words(reference.captions, reference.tags, reference.concept, reference.style)
        except ValueError as error:
            raise self._bad(reference, str(error)) from None

    def picture(self, reference: Row) -> bytes:
        """The content of the file that the row names."""
        if not reference.path:
            raise self._bad(reference, "it names no picture")
        if "://" in reference.path:
            raise self._bad(reference, f"{reference.path} is a URL: img2dataset downloads such tables")
        return read_file(self._folder / reference.path, reference.key, self.parts[reference.part])

    def row(self, part: int, key: str, fields: Mapping[str, Any], names: Mapping[str, str]) -> Row:
        """The reference for a row's fields, under the names that `columns` found."""
        said = {what: fields.get(name) for what, name in names.items()}
        path = said["picture"]
        return Row(
            part,
            key,
            path if isinstance(path, str) else "",
            said["caption"],
            said.get("tags"),
            said.get("concept"),
            said.get("style"),
        )

    def _bad(self, reference: Row, reason: str) -> BadSample:
        return BadSample(reference.key, self.parts[reference.part], reason)


class Table(Rows):
    """A table in a file. It is read through once, for where each part begins, and then part by part."""

    def __init__(self, path: Path, config: ColumnsSection) -> None:
        """Raises DataError where the columns are not those of captioned pictures."""
        super().__init__(path.parent)
        self._path = path
        self._delimiter = DELIMITERS.get(path.suffix.lower())
        self._fields: list[str] = []
        with path.open("rb") as file:
            start = 0
            if self._delimiter is not None:
                start, header = next(_records(file, 0, self._delimiter, path), (0, []))
                self._fields = [name.strip().removeprefix("\ufeff") for name in header]
            file.seek(start)
            self._starts, rows = [], 0
            there = self._fields
            for position, record in _records(file, start, self._delimiter, path):
                if rows == 0 and isinstance(record, dict):
                    there = list(record)
                if rows % _ROWS == 0:
                    self._starts.append(start)
                start, rows = position, rows + 1
        self._names = columns(str(path), there, config)
        self.parts = [str(path)] * len(self._starts)
        kind = {",": "CSV", "\t": "TSV"}.get(self._delimiter or "", "JSON lines")
        self.description = f"{kind} table of {rows:,} rows: {self._names['picture']!r} → {self._names['caption']!r}"

    def references(self, part: int) -> Iterator[Row]:
        """Row by row; a key is the number of its row, the first after the header being 1."""
        with self._path.open("rb") as file:
            records = _records(file, self._starts[part], self._delimiter, self._path)
            for number, (_, record) in enumerate(islice(records, _ROWS), part * _ROWS + 1):
                fields = record if isinstance(record, dict) else dict(zip(self._fields, record, strict=False))
                yield self.row(part, f"row {number}", fields, self._names)

    def files(self) -> Iterator[tuple[str, int]]:
        """The table alone: the pictures that it names may lie anywhere."""
        yield self._path.name, self._path.stat().st_size

    def size(self) -> int:
        """Of the table and of its first pictures, taken for all."""
        sizes = []
        for reference in islice(self.references(0), 100) if self.parts else ():
            try:
                sizes.append((self._folder / reference.path).stat().st_size)
            except OSError:
                continue
        pictures = len(self.parts) * _ROWS * sum(sizes) // max(1, len(sizes))
        return pictures + self._path.stat().st_size


def _records(file: BinaryIO, start: int, delimiter: str | None, path: Path) -> Iterator[tuple[int, Any]]:
    """(where the next record begins, fields) of each record from a place in the file on; blank ones are left out.

    A byte that is not UTF-8 becomes a surrogate, so that one bad caption costs one sample and not the table.
    """
    file.seek(start)
    position = start

    def lines() -> Iterator[str]:
        nonlocal position
        for line in file:
            position += len(line)
            yield line.decode("utf-8", "surrogateescape")

    if delimiter is None:
        for line in lines():
            if line.strip():
                yield position, _object(line)
        return
    csv.field_size_limit(_LONGEST_FIELD)
    reader = csv.reader(lines(), delimiter=delimiter)
    try:
        for record in reader:
            if record:
                yield position, record
    except csv.Error as error:
        raise DataError(f"{path}, {reader.line_num} lines after byte {start:,}: {error}") from error


def _object(line: str) -> dict[str, Any]:
    """What a line holds; a line that holds no object is a row without a picture, and so a bad sample."""
    try:
        found = json.loads(line.removeprefix("\ufeff"))
    except json.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


class Listing(Rows):
    """Pictures and captions in one JSON document: `{"a.jpg": "a caption"}`, a list of rows, or COCO's captions."""

    def __init__(self, path: Path, config: ColumnsSection) -> None:
        """Raises DataError where the document holds none of these."""
        super().__init__(path.parent)
        self._path = path
        try:
            found = json.loads(path.read_bytes())
        except ValueError as error:
            raise DataError(f"{path} is not readable JSON: {error}") from error
        self._rows = [row for row in _rows(found, path) if isinstance(row, dict)]
        if not self._rows:
            raise DataError(f"{path} names no pictures")
        self._names = columns(str(path), list(self._rows[0]), config)
        self.parts = [str(path)] * -(-len(self._rows) // _ROWS)
        self.description = f"list of {len(self._rows):,} captioned pictures in {path.name}"

    def references(self, part: int) -> Iterator[Row]:
        """In the order of the document; the key is the name of the picture."""
        for fields in self._rows[part * _ROWS : (part + 1) * _ROWS]:
            yield self.row(part, str(fields.get(self._names["picture"])), fields, self._names)

    def files(self) -> Iterator[tuple[str, int]]:
        """The document and the pictures in it."""
        yield self._path.name, self._path.stat().st_size
        for fields in self._rows:
            name = str(fields.get(self._names["picture"]))
            picture = self._folder / name
            yield name, picture.stat().st_size if picture.is_file() else 0


def _rows(found: Any, path: Path) -> Iterable[Any]:
    match found:
        case list():
            return found
        case {"images": [*images], "annotations": [*annotations]}:
            captions: dict[Any, list[str]] = {}
            for annotation in annotations:
                if "caption" in annotation:
                    captions.setdefault(annotation["image_id"], []).append(annotation["caption"])
            return [{"file_name": image["file_name"], "captions": captions.get(image["id"], [])} for image in images]
        case dict():
            return [{"file_name": name, "captions": said} for name, said in found.items()]
    raise DataError(
        f'{path} is neither {{"a.jpg": "a caption"}} nor a list of {{"file_name", "caption"}} nor COCO captions'
    )
