"""Whether a data folder is sound: catalog, originals, vectors and index agree.

What they hold stays as it is; a catalog of an older release is brought to the form of this one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest

import numpy as np

from app.errors import IndexUnfit
from app.index.file import IndexFile
from app.index.live import whole_vectors
from app.storage.catalog import Catalog
from app.storage.disk import storage_error
from app.storage.folder import DataFolder
from app.storage.originals import Originals
from app.storage.snapshot import Snapshot

_BATCH = 10_000


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that does not agree with the rest."""

    at: str
    """What it is found in: catalog, original, vector or index; with a name where there are several."""
    fault: str
    """A sentence: what is wrong, and what to do."""


@dataclass(slots=True)
class Findings:
    """What was looked at, and what was found."""

    pictures: int = 0
    originals: int = 0
    vectors: int = 0
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What is as it may be, but good to know."""


def verify(folder: DataFolder, report: Callable[[int, int], None]) -> Findings:
    """Look at everything in a data folder. `report` is told how many of how many originals are read.

    Raises DataFolderError if its catalog cannot be opened.
    """
    catalog, originals = Catalog(folder.catalog), Originals(folder)
    findings = Findings()
    try:
        with catalog.snapshot() as records:
            findings.faults += [Fault("catalog", f"SQLite says: {fault}.") for fault in records.faults()]
            if not findings.faults:  # what else it says would only confuse
                findings.pictures = records.count()
                findings.faults += _faults_of_originals(records, originals, findings, report)
                findings.faults += _faults_of_vectors(records, findings)
                findings.faults += _faults_of_index(records, IndexFile(folder.index), findings)
    finally:
        catalog.close()
    return findings


def _faults_of_originals(
    records: Snapshot, originals: Originals, findings: Findings, report: Callable[[int, int], None]
) -> Iterator[Fault]:
    needed = {sha256: (image_id, sizes) for sha256, image_id, sizes in records.files()}
    for done, (sha256, (image_id, sizes)) in enumerate(needed.items(), start=1):
        at = f"original of the picture {image_id!r}"
        try:
            with originals.path(sha256).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
                size = file.tell()
        except FileNotFoundError:
            yield Fault(at, f"The file {sha256} is missing. Take it from a backup, or delete the picture.")
        except OSError as error:
            yield Fault(at, f"The file {sha256} cannot be read: {storage_error(error)}")
        else:
            if found != sha256:
                yield Fault(at, f"The file {sha256} is damaged. Take it from a backup, or delete the picture.")
            elif sizes != {size}:
                yield Fault(at, f"The file {sha256} has {size:,} bytes; the catalog says {sorted(sizes)}.")
        findings.originals = done
        report(done, len(needed))
    left_by_a_crash = {*originals.unsettled(), *records.unreferenced()}
    for sha256 in originals.hashes():
        if sha256 in needed:
            continue
        if sha256 in left_by_a_crash:
            findings.notes.append(f"The original {sha256} was left by a crash; the next start removes it.")
        else:
            yield Fault(f"original {sha256}", "No picture needs this file. Add it again to keep it, or remove it.")


def _faults_of_vectors(records: Snapshot, findings: Findings) -> Iterator[Fault]:
    for image_id in records.ids_without_vector():
        yield Fault(
            f"picture {image_id!r}", "It has no vector, so no search finds it. `python -m app reindex` makes it."
        )
    for fingerprint, dim, count in records.models():
        findings.vectors += count
        if missing := records.count_without_vector(fingerprint):
            told = f"The model {fingerprint[:12]} has not encoded {missing:,} of {findings.pictures:,} pictures"
            findings.notes.append(f"{told}; a start with it does.")
        for keys, blobs in records.vectors(fingerprint):
            whole = whole_vectors(keys, blobs, dim)[0]
            for record in records.by_keys(sorted(set(keys).difference(whole))).values():
                yield Fault(
                    f"vector of the picture {record.id!r}", "It is damaged. `python -m app reindex` makes it anew."
                )


def _faults_of_index(records: Snapshot, file: IndexFile, findings: Findings) -> Iterator[Fault]:
    remedy = "The next start makes it anew from the catalog, and so does `python -m app reindex`."
    if file.put_aside.exists():
        findings.notes.append(f"{file.put_aside.name} holds an index that did not fit; it can be removed.")
    try:
        loaded = file.load()
        if loaded is None:
            findings.notes.append("There is no index file; the next start makes one from the catalog.")
            return
        manifest, index = loaded
        stamp = manifest.stamp
        if (stamp.changes, stamp.token) != (records.state.changes, records.state.token):
            raise IndexUnfit("it was made from another state of the catalog")
        of_catalog = (whole_vectors(*batch, stamp.dim) for batch in records.vectors(stamp.model, _BATCH))
        for mine, others in zip_longest(index.batches(_BATCH), of_catalog):
            if mine is None or others is None or not all(map(np.array_equal, mine, others)):
                raise IndexUnfit("it holds other vectors than the catalog")
    except IndexUnfit as error:
        yield Fault("index", f"It does not fit: {error}. {remedy}")
