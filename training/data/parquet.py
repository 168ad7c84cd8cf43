"""Parquet tables, with the pictures in them or beside them, read a row group at a time.

Fields as Hugging Face's `datasets` writes them are understood: a picture is a struct of `bytes` and `path`, and the
names of classes are in the schema.
"""

import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from training.data.bad import BadSample
from training.data.columns import PICTURE_BYTES, PICTURE_PATHS, columns
from training.data.data_set import DataSet, Reference, read_file
from training.data.example import DataError
from training.data.section import ColumnsSection
from training.data.words import Words, words

RESIDENT = 256 << 20
"""Bytes of row groups, unpacked, that a process holds: within a row group no row can be read by itself."""


@dataclass(frozen=True, slots=True)
class InRowGroup(Reference):
    """The number of a row in its row group."""

    row: int


class Parquet(DataSet[InRowGroup]):
    """Parquet files of the same columns; each row group is a part."""

    def __init__(self, paths: Sequence[Path], config: ColumnsSection) -> None:
        """Raises DataError where a file is not Parquet, or the columns are not those of captioned pictures."""
        self._paths = list(paths)
        self._groups: list[tuple[int, int, int, int]] = []  # file, row group, rows, bytes of the columns that are read
        self._names: dict[str, str] = {}
        self._classes: Mapping[str, Sequence[str]] = {}
        self._tables: OrderedDict[int, Any] = OrderedDict()
        for number, path in enumerate(self._paths):
            self._open(number, path, config)
        self.parts = [f"{self._paths[file]}, row group {group}" for file, group, _, _ in self._groups]
        rows = sum(rows for _, _, rows, _ in self._groups)
        self.description = (
            f"Parquet of {rows:,} rows in {len(paths):,} files and {len(self.parts):,} row groups: "
            f"{self._names['picture']!r} → {self._names['caption']!r}"
        )

    def references(self, part: int) -> Iterator[InRowGroup]:
        """Row by row. A key is the number of the row in its row group, the first being 0."""
        for row in range(self._groups[part][2]):
            yield InRowGroup(part, f"row {row}", row)

    def words(self, reference: InRowGroup) -> Words:
        """As the columns have it; the number of a class as its name."""
        said = {what: self._cell(reference, what) for what in self._names if what != "picture"}
        caption, names = said["caption"], self._classes.get(self._names["caption"])
        if names and isinstance(caption, int):
            caption = names[caption].replace("_", " ") if 0 <= caption < len(names) else None
        try:
            return words(caption, said.get("tags"), said.get("concept"), said.get("style"))
        except ValueError as error:
            raise self._bad(reference, str(error)) from None

    def picture(self, reference: InRowGroup) -> bytes:
        """The bytes in the row, or those of the file that it names."""
        cell = self._cell(reference, "picture")
        if isinstance(cell, dict):
            cell = cell.get("bytes") or cell.get("path")
        match cell:
            case bytes():
                return cell
            case str() if cell and "://" not in cell:
                folder = self._paths[self._groups[reference.part][0]].parent
                return read_file(folder / cell, reference.key, self.parts[reference.part])
            case str() if cell:
                raise self._bad(reference, f"{cell} is a URL: img2dataset downloads such tables")
        raise self._bad(reference, "it has no picture")

    def resident(self, part: int) -> int:
        """Bytes of the row group's columns when they are unpacked."""
        return self._groups[part][3]

    def files(self) -> Iterator[tuple[str, int]]:
        """The tables; pictures that they only name may lie anywhere."""
        for path in self._paths:
            yield path.name, path.stat().st_size

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_tables": OrderedDict()}  # each process reads its own

    def _open(self, number: int, path: Path, config: ColumnsSection) -> None:
        arrow = _arrow()
        try:
            with arrow.ParquetFile(path) as file:
                schema, metadata = file.schema_arrow, file.metadata
        except (OSError, ValueError) as error:  # pyarrow's own errors are of these
            raise DataError(f"{path} is not a readable Parquet file: {error}") from error
        there = list(schema.names)
        pictures = [name for name in PICTURE_BYTES if name in there and _holds_bytes(schema.field(name).type)]
        names = columns(str(path), there, config, [*pictures, *PICTURE_PATHS])
        if number == 0:
            self._names, self._classes = names, _classes(schema.metadata or {})
        elif names != self._names:
            raise DataError(f"{path} has other columns than {self._paths[0]}: {names} and {self._names}")
        read = set(names.values())
        for group in range(metadata.num_row_groups):
            row_group = metadata.row_group(group)
            chunks = (row_group.column(column) for column in range(row_group.num_columns))
            size = sum(c.total_uncompressed_size for c in chunks if c.path_in_schema.split(".")[0] in read)
            self._groups.append((number, group, row_group.num_rows, size))

    def _cell(self, reference: InRowGroup, what: str) -> Any:
        table = self._table(reference)
        try:
            return table.column(self._names[what])[reference.row].as_py()
        except UnicodeDecodeError:
            raise self._bad(reference, f"its {what} is not UTF-8") from None

    def _table(self, reference: InRowGroup) -> Any:
        part = reference.part
        if part not in self._tables:
            file, group, _, size = self._groups[part]
            while self._tables and sum(self.resident(held) for held in self._tables) + size > RESIDENT:
                self._tables.popitem(last=False)
            arrow = _arrow()
            try:
                with arrow.ParquetFile(self._paths[file]) as opened:
                    self._tables[part] = opened.read_row_group(group, [*self._names.values()], use_threads=False)
            except (OSError, ValueError) as error:
                raise self._bad(reference, f"its row group cannot be read: {error}") from None
        self._tables.move_to_end(part)
        return self._tables[part]

    def _bad(self, reference: InRowGroup, reason: str) -> BadSample:
        return BadSample(reference.key, self.parts[reference.part], reason)


def _holds_bytes(kind: Any) -> bool:
    return str(kind).startswith(("binary", "large_binary", "fixed_size_binary", "struct"))


def _classes(metadata: Mapping[bytes, bytes]) -> dict[str, Sequence[str]]:
    """Names of the classes of each column that has them, as `datasets` notes them in the schema."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    if not isinstance(features, dict):
        return {}
    return {  # a list of values is noted as a list
        column: feature["names"]
        for column, feature in features.items()
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
    }


def _arrow() -> Any:
    try:
        return import_module("pyarrow.parquet")
    except ImportError as error:
        raise DataError("Parquet is read with pyarrow, which is not installed: make setup") from error
