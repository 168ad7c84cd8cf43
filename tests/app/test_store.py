"""Rows and vectors agree, or come to agree again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from app.folder import DataFolder
from app.gallery import Gallery, Upload
from app.store import Store
from tests.app.dummy import ColourEncoder
from tests.app.pictures import noise


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[DataFolder]:
    """A data folder of five pictures, p0 to p4."""
    with DataFolder(tmp_path) as folder:
        with Gallery(folder, ColourEncoder(), max_pixels=1000) as gallery:
            gallery.add_many(Upload(noise(number), f"p{number}") for number in range(5))
        yield folder


@pytest.fixture
def store(folder: DataFolder) -> Iterator[Store]:
    store = Store(folder, dim=ColourEncoder.dim, fingerprint=ColourEncoder().fingerprint)
    yield store
    store.close()


def test_a_vector_whose_row_is_gone_takes_no_place_in_a_page(store: Store) -> None:
    query = ColourEncoder().encode_texts(["red"])[0]
    everything = [hit.record.id for hit in store.nearest(query, 5, 0)]
    store.catalog.delete(store.get(everything[1]))  # and nothing tells the index, as if that had failed
    assert [hit.record.id for hit in store.nearest(query, 3, 0)] == [everything[0], *everything[2:4]]
    assert len(store.index) == 4


def test_the_index_is_the_catalog_s_vectors_after_every_start(store: Store) -> None:
    ((keys, vectors),) = store.catalog.vectors(ColourEncoder().fingerprint)
    assert len(keys) == len(store.index) == 5
    for key, vector in zip(keys, vectors, strict=True):
        nearest, score = store.index.search(vector, 1)[0]
        assert nearest == key
        assert score == pytest.approx(1, abs=1e-6)
        np.testing.assert_array_equal(store.vector(store.catalog.by_keys([key])[key]), vector)


def test_a_failure_in_the_middle_of_a_transaction_leaves_nothing_of_it(folder: DataFolder, store: Store) -> None:
    records = store.catalog.newest(2)
    vectors = np.zeros((2, ColourEncoder.dim), np.float32)
    with pytest.raises(Exception, match="UNIQUE"):
        store.catalog.insert(records, vectors, "c0105")  # ids that are there
    assert store.catalog.count() == 5
    assert store.catalog.count_without_vector("c0105") == 0
    store.set_note("still", "writable")
    assert store.catalog.note("still") == "writable"
