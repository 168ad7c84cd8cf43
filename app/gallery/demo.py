"""The demo gallery: a shard of pictures that is added once to a new data folder, as any upload would be."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from app.errors import IdTaken
from app.gallery.gallery import CHUNK, Gallery, Upload
from model.errors import ParallaxError, PictureError
from model.shards import read_shard

SHARD = Path(__file__).parent.parent / "demo" / "twemoji.tar"

log = logging.getLogger("parallax")


def add_demo_gallery(gallery: Gallery, shard: Path, report: Callable[[int, int], None], stop: threading.Event) -> None:
    """Add the pictures of a shard, unless that has been done in this data folder before.

    When all are added, the catalog remembers it, so that pictures which a user deletes stay away. After a crash in the
    middle the next start adds the rest: each picture has its own id. `report` is told how many of how many are done.
    Raises ShardError.
    """
    note = f"demo gallery {shard.name}"
    if (before := gallery.note(note)) is not None:
        report(int(before), int(before))
        return
    samples = list(read_shard(shard))
    for start in range(0, len(samples), CHUNK):
        report(start, len(samples))
        if stop.is_set():
            return
        uploads = [
            Upload(sample.picture, f"{shard.stem}-{sample.key}", sample.metadata.get("metadata", {}))
            for sample in samples[start : start + CHUNK]
        ]
        missing = [upload for upload in uploads if not gallery.has(str(upload.id))]
        for upload, outcome in zip(missing, gallery.add_many(missing), strict=True):
            if isinstance(outcome, IdTaken):  # by a client, this very moment; it has a picture of that name
                continue
            if isinstance(outcome, ParallaxError) and not isinstance(outcome, PictureError):
                raise outcome  # not the picture's fault, so no later start would be told to try again
            if isinstance(outcome, PictureError):
                log.warning("the demo picture %s was left out: %s", upload.id, outcome)
    gallery.set_note(note, str(len(samples)))
    report(len(samples), len(samples))
