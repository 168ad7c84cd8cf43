"""Shards are what data sets are kept and shared in: img2dataset and WebDataset must agree on what is in them."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.errors import ShardError
from model.shards import PICTURE_EXTENSIONS, Sample, ShardWriter, read_shard

KEYS = st.text(
    st.characters(codec="utf-8", exclude_characters="./\0", exclude_categories=("Cc",)), min_size=1, max_size=20
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
SAMPLES = st.builds(
    Sample,
    key=KEYS,
    picture=st.binary(max_size=2000),
    extension=st.sampled_from(sorted(PICTURE_EXTENSIONS)),
    caption=st.text(),
    metadata=st.dictionaries(st.text(), VALUES, max_size=3),
)


def write(path: Path, samples: list[Sample]) -> None:
    with ShardWriter(path) as shard:
        for sample in samples:
            shard.write(sample)


def tar_of(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


@settings(max_examples=50, deadline=None)
@given(st.lists(SAMPLES, max_size=5, unique_by=lambda sample: sample.key))
def test_what_is_written_is_read_again(tmp_path_factory: pytest.TempPathFactory, samples: list[Sample]) -> None:
    path = tmp_path_factory.mktemp("shards") / "00000.tar"
    write(path, samples)
    assert list(read_shard(path)) == samples


def test_the_same_samples_make_the_same_file(tmp_path: Path) -> None:
    one = Sample("00000", b"picture", "png", "a cat", {"b": 1, "a": 2})
    other = Sample("00000", b"picture", "png", "a cat", {"a": 2, "b": 1})
    write(tmp_path / "one.tar", [one])
    write(tmp_path / "other.tar", [other])
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "other.tar").read_bytes()


def test_members_are_named_as_img2dataset_names_them(tmp_path: Path) -> None:
    write(tmp_path / "00000.tar", [Sample("000000007", b"picture", "png", "a cat", {"key": "000000007"})])
    with tarfile.open(tmp_path / "00000.tar") as tar:
        assert tar.getnames() == ["000000007.png", "000000007.txt", "000000007.json"]
        assert {member.mtime for member in tar} == {0}


def test_a_shard_by_img2dataset_is_read(tmp_path: Path) -> None:
    facts = {"url": "…", "caption": "a cat", "key": "000000001", "status": "success"}
    members = {
        "./000000000.jpg": b"zero",
        "000000001.jpg": b"one",
        "000000001.txt": "ein Kätzchen".encode(),
        "000000001.json": json.dumps(facts).encode(),
        "folder.v2/2.x.png": b"only a dot in the folder belongs to the key",
        "000000003.txt": b"no picture beside it",
        "000000004.JPG": b"four",
    }
    samples = list(read_shard(tar_of(tmp_path / "00000.tar", members)))
    assert [(sample.key, sample.picture, sample.extension) for sample in samples] == [
        ("./000000000", b"zero", "jpg"),
        ("000000001", b"one", "jpg"),
        ("000000004", b"four", "jpg"),
    ]
    assert (samples[1].caption, samples[1].metadata) == ("ein Kätzchen", facts)


@pytest.mark.parametrize(
    "members",
    [{"1.png": b"", "1.json": b"{"}, {"1.png": b"", "1.json": b"[]"}, {"1.png": b"", "1.txt": b"\xff"}],
    ids=["broken", "array", "not text"],
)
def test_words_that_cannot_be_read_are_an_error_that_names_the_shard(tmp_path: Path, members: dict[str, bytes]) -> None:
    with pytest.raises(ShardError, match=r"00000\.tar"):
        list(read_shard(tar_of(tmp_path / "00000.tar", members)))


def test_a_file_that_is_no_shard_or_cut_off_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "00000.tar"
    with pytest.raises(ShardError, match="No such file"):
        list(read_shard(path))
    path.write_bytes(b"not a tar file " * 100)
    with pytest.raises(ShardError):
        list(read_shard(path))
    write(path, [Sample("1", bytes(5000), "png")])
    whole = path.read_bytes()
    assert [sample.key for sample in read_shard(path)] == ["1"]
    between = 512 + 5120  # header and content of the picture: its words would be missing
    for end in (3000, between, between + 512):
        path.write_bytes(whole[:end])
        with pytest.raises(ShardError):
            list(read_shard(path))


def test_a_writer_that_fails_leaves_the_old_shard_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "00000.tar"
    write(path, [Sample("1", b"old", "png")])
    with pytest.raises(ValueError, match="JSON"):
        write(path, [Sample("1", b"new", "png"), Sample("2", b"newer", "png", metadata={"score": float("nan")})])
    assert [sample.picture for sample in read_shard(path)] == [b"old"]
    assert list(tmp_path.iterdir()) == [path]
