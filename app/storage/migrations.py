"""The shape of the catalog, and how one of an earlier version gets it. A migration is one transaction."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from app.errors import DataFolderError

SCHEMA_VERSION = 2

_IMAGES = """
CREATE TABLE images (
    key INTEGER PRIMARY KEY AUTOINCREMENT,  -- also the key in the index; never used twice
    id TEXT NOT NULL UNIQUE,
    sha256 TEXT NOT NULL,
    content_type TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    metadata TEXT NOT NULL
) STRICT;
CREATE INDEX images_by_sha256 ON images (sha256);
CREATE TABLE unreferenced (sha256 TEXT PRIMARY KEY) STRICT;  -- files whose last record went, perhaps not deleted yet
CREATE TABLE notes (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
"""
# A picture has a vector by the old model and one by the new until the new ones are complete.
_VECTORS = """
CREATE TABLE models (model INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE vectors (
    key INTEGER NOT NULL REFERENCES images ON DELETE CASCADE,
    model INTEGER NOT NULL REFERENCES models,
    vector BLOB NOT NULL,  -- little-endian float32
    PRIMARY KEY (key, model)
) STRICT;
"""
# Names the last change. The count says which of two states is the later one; the token, made at random, says whether
# they are the same one, even if a backup was put back in between. Triggers see every change, one made by hand as well.
_STATE = """
CREATE TABLE state (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    changes INTEGER NOT NULL,
    token TEXT NOT NULL
) STRICT;
INSERT INTO state VALUES (1, 0, lower(hex(randomblob(16))));
""" + "".join(
    f"""
CREATE TRIGGER {table}_{change} AFTER {change} ON {table} BEGIN
    UPDATE state SET changes = changes + 1, token = lower(hex(randomblob(16)));
END;
"""
    for table in ("images", "vectors")
    for change in ("insert", "update", "delete")
)
_STEPS = {
    0: _IMAGES + _VECTORS + _STATE,  # a new file
    1: f"""
        ALTER TABLE vectors RENAME TO vectors_1;
        {_VECTORS}
        INSERT INTO models (fingerprint) SELECT DISTINCT fingerprint FROM vectors_1;
        INSERT INTO vectors
            SELECT key, model, vector FROM vectors_1 JOIN models USING (fingerprint)
            WHERE key IN (SELECT key FROM images) ORDER BY key;
        DROP TABLE vectors_1;
        {_STATE}
    """,
}


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring a catalog to this version. Raises DataFolderError if it is of a later one; it is then left as it was."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == SCHEMA_VERSION:
        return
    if version not in _STEPS:
        raise DataFolderError(
            f"The catalog {path} is of version {version}; this Parallax reads up to {SCHEMA_VERSION}."
        )
    try:
        connection.executescript(f"BEGIN EXCLUSIVE; {_STEPS[version]} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
