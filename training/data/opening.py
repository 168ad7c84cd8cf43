"""What a path is: the one place that decides which reader it gets, and that says what it looked for where it cannot."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from training.data.braces import expand
from training.data.data_set import DataSet
from training.data.example import DataError
from training.data.folders import Folder, is_picture, walk
from training.data.section import ColumnsSection
from training.data.tables import DELIMITERS, Listing, Table

_LISTS = ("metadata.jsonl", "metadata.csv", "metadata.parquet", "captions.json", "captions.jsonl", "captions.csv")
"""Files of a folder that name its pictures; the first three as Hugging Face's `imagefolder` has them."""
_FIRST_PICTURES = 100
_USUAL = ColumnsSection()

LOOKED_FOR = f"""  shards (*.tar), which `python -m training prepare pictogram DIR` or img2dataset makes
  a list of its pictures: {", ".join(_LISTS)}
  pictures with captions beside them: a.jpg and a.txt, or a.json
  Parquet tables (*.parquet) that hold pictures
  pictures in folders named after what they show"""


def open_data(path: Path | Sequence[Path], columns: ColumnsSection = _USUAL) -> DataSet[Any]:
    """The samples at a path; `description` says what it was taken for.

    A file is what its name ends in: `.tar` a WebDataset shard; `.csv`, `.tsv`, `.jsonl` and `.parquet` a table; `.json`
    a list of captions; `.txt` a list of shards, one a line. Several shards, or several Parquet tables, are named by
    `{00000..00099}.tar`, by `train-*.parquet` or by a sequence of paths. A folder is the first of what `LOOKED_FOR`
    lists that it holds. Raises DataError.
    """
    if not isinstance(path, Path):
        return _open_files([file for item in path for file in _files(item)], f"{len(path)} paths", columns)
    if path.is_dir():
        return _open_folder(path, columns)
    if not path.exists() and not _is_pattern(path):
        raise DataError(f"{path} does not exist")
    if path.suffix == ".txt" or not path.exists():
        return _open_files(_files(path), str(path), columns)
    return _open_file(path, columns)


def _open_file(path: Path, columns: ColumnsSection) -> DataSet[Any]:
    match path.suffix.lower():
        case ".tar" | ".parquet":
            return _open_files([path], path.name, columns)
        case ".json":
            return Listing(path, columns)
        case suffix if suffix in {*DELIMITERS, ".jsonl"}:
            return Table(path, columns)
    raise DataError(
        f"{path} is no data set that can be read: looked for a shard (.tar), a list of shards (.txt), a table (.csv, "
        ".tsv, .jsonl, .parquet), a list of captions (.json) or a folder"
    )


def _open_folder(folder: Path, columns: ColumnsSection) -> DataSet[Any]:
    names = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    tars = [folder / name for name in names if name.endswith(".tar")]
    if tars:
        return _open_files(tars, str(folder), columns)
    for name in _LISTS:
        if name in names:
            return _open_file(folder / name, columns)
    first = list(islice(_pictures(folder), _FIRST_PICTURES))
    if any(picture.with_suffix(suffix).exists() for picture in first for suffix in (".txt", ".json")):
        return Folder(folder, classes=False)
    if any(picture.parent != folder for picture in first):
        return Folder(folder, classes=True)
    tables = [folder / name for name in names if name.endswith(".parquet")]
    if tables:
        return _open_files(tables, str(folder), columns)
    held = "It holds pictures, but no captions" if first else "It holds nothing of this"
    raise DataError(f"{folder} is no data set that can be read. Looked in it for\n{LOOKED_FOR}\n{held}.")


def _pictures(folder: Path) -> Iterator[Path]:
    return (inner / name for inner, names in walk(folder) for name in names if is_picture(name))


def _is_pattern(path: Path) -> bool:
    return any(sign in str(path) for sign in "{*?[")


def _files(path: Path) -> list[Path]:
    """What one item names: a file, the shards of a folder, a pattern, or a list in a file."""
    if path.is_dir():
        found = sorted(path.glob("*.tar"))
        if not found:
            raise DataError(f"{path} holds no shards (*.tar)")
        return found
    if path.suffix == ".txt":
        try:
            lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} is not a readable list of shards: {error}") from error
        return [file for line in lines if line and not line.startswith("#") for file in _files(path.parent / line)]
    if path.exists() or not _is_pattern(path):
        return [path]
    files: list[Path] = []
    for name in expand(str(path)):
        pattern = Path(name)
        root = Path(pattern.anchor)
        matching = sorted(root.glob(str(pattern.relative_to(root)))) if _is_pattern(pattern) else [pattern]
        if not matching:
            raise DataError(f"{name} matches no file")
        files += matching
    return files


def _open_files(files: Sequence[Path], where: str, columns: ColumnsSection) -> DataSet[Any]:
    """Shards, or Parquet tables."""
    match sorted({file.suffix for file in files}):
        case [".tar"]:
            from training.data.shards import Shards

            return Shards(files, f"WebDataset shards: {len(files):,} in {where}")
        case [".parquet"]:
            from training.data.parquet import Parquet

            return Parquet(files, columns)
        case []:
            raise DataError(f"{where} names no files")
    foreign = next((file for file in files if file.suffix not in (".tar", ".parquet")), files[0])
    raise DataError(f"{where} names {foreign}: looked for shards alone (.tar), or for Parquet tables alone (.parquet)")
