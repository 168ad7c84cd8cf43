"""The index of a shard names what is in it, where Python's own reader of archives finds it."""

import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.errors import ShardError
from training.data.tar_index import members

NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["C"]), min_size=1, max_size=60
)
PATHS = st.lists(NAMES, min_size=1, max_size=6).map("/".join).filter(lambda path: path not in (".", ".."))


def write(path, files, kind):
    with tarfile.open(path, "w", format=kind) as tar:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


@settings(max_examples=60, deadline=None)
@given(
    files=st.lists(st.tuples(PATHS, st.binary(max_size=1500)), max_size=6),
    kind=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
def test_it_finds_what_tarfile_finds(tmp_path_factory, files, kind):
    path = tmp_path_factory.mktemp("tar") / "a.tar"
    write(path, files, kind)
    data = path.read_bytes()
    with tarfile.open(path) as tar:
        expected = [(m.name, m.offset_data, m.size) for m in tar if m.isfile()]
    found = [(m.name, m.offset, m.size) for m in members(path)]
    assert found == expected
    assert [data[offset : offset + size] for _, offset, size in found] == [content for _, content in files]


def test_it_reads_ustar_with_split_names(tmp_path):
    name = "/".join(["folder" * 5] * 4) + "/" + "f" * 90 + ".png"
    write(tmp_path / "a.tar", [(name, b"x"), ("b.png", b"y")], tarfile.USTAR_FORMAT)
    assert [m.name for m in members(tmp_path / "a.tar")] == [name, "b.png"]


@pytest.mark.parametrize("data", [b"PK\3\4" * 400, b"\x1f\x8b" + bytes(2000), b"short"])
def test_what_is_no_archive_says_so(tmp_path, data):
    (tmp_path / "a.tar").write_bytes(data)
    with pytest.raises(ShardError, match=r"a\.tar is not a readable shard: no header"):
        list(members(tmp_path / "a.tar"))


@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, 4095), value=st.integers(0, 255), cut=st.integers(0, 8192))
def test_damage_is_an_error_or_harmless(tmp_path_factory, place, value, cut):
    path = tmp_path_factory.mktemp("tar") / "a.tar"
    write(path, [("a.png", b"1" * 700), ("b" * 130, b"2" * 700)], tarfile.PAX_FORMAT)
    data = bytearray(path.read_bytes())
    data[place] = value
    path.write_bytes(data[:cut] if cut % 2 else data)
    try:
        found = list(members(path))
    except ShardError:
        return
    assert all(m.offset + m.size <= path.stat().st_size for m in found)


def test_an_archive_that_is_cut_off_between_two_files_says_so(tmp_path):
    """In the zeros that fill up the last block of a file, which is whole itself."""
    path = tmp_path / "a.tar"
    write(path, [("a", b"x"), ("b", b"y")], tarfile.USTAR_FORMAT)
    path.write_bytes(path.read_bytes()[: 512 + 512 + 100])
    found = members(path)
    assert next(found).name == "a"
    with pytest.raises(ShardError, match="cut off at byte 1,124"):
        list(found)
