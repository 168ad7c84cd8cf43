"""Which columns of a table hold what."""

from collections.abc import Sequence

from training.data.example import DataError
from training.data.section import ColumnsSection
from training.data.words import CAPTION_KEYS

PICTURE_PATHS = ("file_name", "filename", "filepath", "file", "path", "image_path", "image_file", "image", "picture")
PICTURE_BYTES = ("image", "picture", "img", "jpg", "jpeg", "png", "webp", "image_bytes", "bytes")
_NAMES = {"caption": CAPTION_KEYS, "tags": ("tags", "keywords"), "concept": ("concept",), "style": ("style",)}


def columns(
    table: str, there: Sequence[str], config: ColumnsSection, pictures: Sequence[str] = PICTURE_PATHS
) -> dict[str, str]:
    """For picture, caption, and where there are such, tags, concept and style: the name of their column in a table.

    A name in the configuration has to be there; else the first one that is usual for it. Raises DataError.
    """
    found: dict[str, str] = {}
    for what, usual in {"picture": pictures, **_NAMES}.items():
        asked = getattr(config, what)
        if asked is not None and asked not in there:
            raise DataError(f"{table} has no column {asked!r} (columns.{what}); it has {_listed(there)}")
        name = asked or next((name for name in usual if name in there and name not in found.values()), None)
        if name is not None:
            found[what] = name
        elif what in ("picture", "caption"):
            raise DataError(
                f"{table}: no column is known to hold the {what}s. Looked for {_listed(usual)}; it has "
                f"{_listed(there)}. Name it with columns.{what}"
            )
    return found


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names)) or "none"
