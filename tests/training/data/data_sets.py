"""The same captioned pictures in every layout that people keep them in."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image
from pyarrow import parquet

from model.shards import Sample, ShardWriter


def picture(number: int, side: int = 8) -> bytes:
    """A PNG of one colour, another for each number."""
    out = io.BytesIO()
    Image.new("RGB", (side + number % 3, side), (number * 37 % 256, number * 91 % 256, number % 256)).save(out, "PNG")
    return out.getvalue()


def caption(number: int) -> str:
    return f"thing no {number}, grün"


def write_shards(folder: Path, count: int, shards: int = 1, stem: str = "") -> Path:
    """Shards as img2dataset writes them, with the table that it puts beside each."""
    folder.mkdir(parents=True, exist_ok=True)
    for shard in range(shards):
        with ShardWriter(folder / f"{stem}{shard:05}.tar") as writer:
            for number in range(shard, count, shards):
                fields = {
                    "caption": caption(number),
                    "url": "https://example.org",
                    "status": "success",
                    "key": str(number),
                }
                writer.write(Sample(f"{number:09}", picture(number), "png", caption(number), fields))
        parquet.write_table(
            pa.table({"url": ["https://example.org"], "caption": ["x"]}), folder / f"{shard:05}.parquet"
        )
        (folder / f"{shard:05}_stats.json").write_text("{}")
    return folder


def _pictures(folder: Path, count: int) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{number:04}.png" for number in range(count)]
    for number, name in enumerate(names):
        (folder / name).write_bytes(picture(number))
    return names


def _img2dataset_files(path: Path, count: int) -> Path:
    for number, name in enumerate(_pictures(path / "00000", count)):
        file = path / "00000" / name
        file.with_suffix(".txt").write_text(caption(number), "utf-8")
        file.with_suffix(".json").write_text(json.dumps({"caption": caption(number), "width": 8}))
    parquet.write_table(pa.table({"url": ["https://example.org"], "caption": ["x"]}), path / "00000.parquet")
    (path / "00000_stats.json").write_text("{}")
    return path


def _beside(path: Path, count: int) -> Path:
    for number, name in enumerate(_pictures(path, count)):
        (path / name).with_suffix(".txt").write_text(caption(number) + "\n", "utf-8")
    return path


def _json_beside(path: Path, count: int) -> Path:
    for number, name in enumerate(_pictures(path, count)):
        (path / name).with_suffix(".json").write_text(json.dumps({"caption": caption(number)}))
    return path


def _table(suffix: str, delimiter: str) -> Callable[[Path, int], Path]:
    def write(path: Path, count: int) -> Path:
        names = _pictures(path / "pictures", count)
        table = path / f"table{suffix}"
        with table.open("w", newline="", encoding="utf-8-sig") as file:
            writer = csv.writer(file, delimiter=delimiter)
            writer.writerow(["filepath", "title", "licence"])
            writer.writerows([f"pictures/{name}", caption(number), "CC0"] for number, name in enumerate(names))
        return table

    return write


def _metadata_jsonl(path: Path, count: int) -> Path:
    lines = [json.dumps({"file_name": n, "text": caption(i)}) for i, n in enumerate(_pictures(path, count))]
    (path / "metadata.jsonl").write_text("\n".join(lines))
    return path


def _metadata_csv(path: Path, count: int) -> Path:
    rows = [f'{name},"{caption(number)}"' for number, name in enumerate(_pictures(path, count))]
    (path / "metadata.csv").write_text("\n".join(["file_name,text", *rows]), "utf-8")
    return path


def _captions_json(path: Path, count: int) -> Path:
    said = {name: caption(number) for number, name in enumerate(_pictures(path, count))}
    (path / "captions.json").write_text(json.dumps(said))
    return path


def _coco(path: Path, count: int) -> Path:
    names = _pictures(path, count)
    images = [{"id": number * 7, "file_name": name} for number, name in enumerate(names)]
    annotations = [{"image_id": number * 7, "caption": caption(number)} for number in range(count)]
    (path / "captions.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    return path


def _parquet_bytes(path: Path, count: int) -> Path:
    path.mkdir()
    rows = {"jpg": [picture(n) for n in range(count)], "caption": [caption(n) for n in range(count)]}
    parquet.write_table(pa.table(rows), path / "00000.parquet", row_group_size=3)
    return path


def _parquet_structs(path: Path, count: int) -> Path:
    cells = [{"bytes": picture(number), "path": "x.png"} for number in range(count)]
    parquet.write_table(
        pa.table({"image": cells, "text": [caption(n) for n in range(count)]}), path.with_suffix(".parquet")
    )
    return path.with_suffix(".parquet")


def _parquet_paths(path: Path, count: int) -> Path:
    names = _pictures(path / "pictures", count)
    table = pa.table({"file_name": [f"pictures/{n}" for n in names], "caption": [caption(n) for n in range(count)]})
    parquet.write_table(table, path / "table.parquet", row_group_size=2)
    return path / "table.parquet"


def _brace(path: Path, count: int) -> Path:
    write_shards(path, count, 1)
    return path / "{00000..00000}.tar"


def _list(path: Path, count: int) -> Path:
    write_shards(path / "shards", count, 1)
    (path / "shards.txt").write_text("# my shards\nshards/00000.tar\n")
    return path / "shards.txt"


LAYOUTS: dict[str, Callable[[Path, int], Any]] = {
    "shards": write_shards,
    "one shard": lambda path, count: write_shards(path, count) / "00000.tar",
    "braces": _brace,
    "list of shards": _list,
    "several paths": lambda path, count: (write_shards(path, count),),
    "img2dataset files": _img2dataset_files,
    "captions beside": _beside,
    "JSON beside": _json_beside,
    "CSV": _table(".csv", ","),
    "TSV": _table(".tsv", "\t"),
    "metadata.jsonl": _metadata_jsonl,
    "metadata.csv": _metadata_csv,
    "captions.json": _captions_json,
    "COCO": _coco,
    "Parquet with pictures": _parquet_bytes,
    "Parquet of datasets": _parquet_structs,
    "Parquet with paths": _parquet_paths,
}
