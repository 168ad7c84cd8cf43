"""A disk that is full, read-only or broken: a clear answer, nothing half-written, and all is well afterwards."""

from __future__ import annotations

import errno
import io
import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from starlette.testclient import TestClient

from app.errors import StorageError, StorageFault, StorageFull
from app.gallery.store import Store
from app.settings import Settings
from app.startup import Startup
from tests.app.pictures import noise
from tests.app.running import add, opened
from tests.app.storage.test_crash_points import WRITES
from tests.app.storing import Gallery, Write, assert_sound, contents, files, opened_store, sha256

FULL, BROKEN = errno.ENOSPC, errno.EIO
KIND = {FULL: StorageFull, BROKEN: StorageFault, errno.EROFS: StorageFault}


class HalfWritten(io.FileIO):
    """A file that takes half of what is written."""

    fault = FULL

    def write(self, data: Any) -> int:
        super().write(memoryview(data)[: len(data) // 2])
        raise OSError(self.fault, os.strerror(self.fault))


@contextmanager
def failing(fault: int, step: int, *, lasting: bool) -> Iterator[Callable[[], bool]]:
    """The file operation of that number fails, and with `lasting` all after it. Gives a function: has it come to that?

    Removing a file is none of them: that works on a full disk, too.
    """
    left = step

    def fails() -> bool:
        nonlocal left
        left -= 1
        return left == -1 or (lasting and left < 0)

    def faulty(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if fails():
                raise OSError(fault, os.strerror(fault))
            return original(*arguments, **options)

        return call

    def opening(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if set(mode) & set("wxa") and fails():
            opened = HalfWritten(file, "wb")
            opened.fault = fault
            return opened
        return open_file(file, mode, *arguments, **options)

    open_file = io.open
    names = ["fsync", "replace", "mkdir", "open"]
    with mock.patch.multiple(os, **{name: faulty(getattr(os, name)) for name in names}), mock.patch("io.open", opening):
        yield lambda: left < 0


def expected(writes: list[Write]) -> Gallery:
    gallery: Gallery = {}
    for write in writes:
        gallery = write.on(gallery)
    return gallery


@pytest.mark.parametrize(("fault", "lasting"), [(FULL, False), (FULL, True), (BROKEN, False)])
def test_a_write_that_a_full_or_broken_disk_stops_at_any_step_leaves_no_trace(
    tmp_path: Path, fault: int, lasting: bool
) -> None:
    faults = 0
    for number, write in enumerate(WRITES):
        template = tmp_path / f"{number}"
        with opened_store(template) as store:
            for earlier in WRITES[:number]:
                earlier.to(store)
        before, after = expected(WRITES[:number]), expected(WRITES[: number + 1])
        step, reached = 0, True
        while reached:
            path = tmp_path / f"{number}-{step}"
            shutil.copytree(template, path)
            with opened_store(path) as store:
                with failing(fault, step, lasting=lasting) as fired:
                    raised = outcome(write, store)
                    reached = fired()
                assert raised in (None, KIND[fault])
                faults += raised is not None
                now = after if raised is None else before
                assert contents(store) == now
                if fault == FULL:
                    assert files(path) == {sha256(picture) for picture, _ in now.values()}
                if now == before:
                    write.to(store)  # there is room again
                assert contents(store) == after
            with opened_store(path) as store:
                assert contents(store) == after
                assert files(path) == {sha256(picture) for picture, _ in after.values()}
            assert_sound(path)
            step += 1
    assert faults > 40


def outcome(write: Write, store: Store) -> type[StorageError] | None:
    """What the write raised, if anything."""
    try:
        write.to(store)
    except StorageError as error:
        return type(error)
    return None


class FailingCommit:
    """A connection whose commits fail as SQLite lets them fail."""

    def __init__(self, connection: sqlite3.Connection, code: int) -> None:
        self._connection, self._code = connection, code

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *parameters: Any) -> sqlite3.Cursor:
        if statement == "COMMIT":
            error = sqlite3.OperationalError("it did not work")
            error.sqlite_errorcode = self._code  # type: ignore[misc]
            raise error
        return self._connection.execute(statement, *parameters)


@pytest.mark.parametrize(
    ("code", "kind"), [(sqlite3.SQLITE_FULL, StorageFull), (sqlite3.SQLITE_IOERR_FSYNC, StorageFault)]
)
def test_a_commit_that_fails_changes_nothing_and_the_next_one_works(
    tmp_path: Path, code: int, kind: type[StorageError]
) -> None:
    with opened_store(tmp_path) as store:
        for number, write in enumerate(WRITES):
            writer = store.catalog._writer
            store.catalog._writer = FailingCommit(writer, code)  # type: ignore[assignment]
            with pytest.raises(kind):
                write.to(store)
            store.catalog._writer = writer
            assert contents(store) == expected(WRITES[:number])
            write.to(store)
            assert contents(store) == expected(WRITES[: number + 1])
    with opened_store(tmp_path) as store:
        assert contents(store) == expected(WRITES)
        assert files(tmp_path) == {sha256(picture) for picture, _ in expected(WRITES).values()}
    assert_sound(tmp_path)


def fill_catalog(store: Store) -> None:
    """From now on, the catalog has no room for another page."""
    (pages,) = store.catalog._writer.execute("PRAGMA page_count").fetchone()
    store.catalog._writer.execute(f"PRAGMA max_page_count = {pages}")


def test_a_catalog_that_cannot_grow_says_so_and_answers_questions(tmp_path: Path) -> None:
    with opened_store(tmp_path) as store:
        held: Gallery = {}
        fill_catalog(store)
        writes = [Write("add", f"p{number}", number) for number in range(100)]
        while (raised := outcome(writes[0], store)) is None:
            held = writes.pop(0).on(held)
        assert raised is StorageFull
        assert contents(store) == held
        with pytest.raises(StorageFull):
            store.update_metadata("p0", lambda _: {"long": "x" * 60_000})
        store.delete("p0")
        del held["p0"]
        assert contents(store) == held


def test_a_catalog_that_became_read_only_says_so_and_answers_questions(tmp_path: Path) -> None:
    with opened_store(tmp_path) as store:
        Write("add", "a", 1).to(store)
        store.catalog._writer.execute("PRAGMA query_only = ON")
        for write in (Write("add", "b", 2), Write("put", "a", 3), Write("patch", "a", 4), Write("delete", "a")):
            with pytest.raises(StorageFault, match="readonly"):
                write.to(store)
        assert contents(store) == {"a": (1, {"number": 1})}


@pytest.mark.parametrize(
    ("fault", "status", "kind", "pause"),
    [
        (FULL, 507, "storage-full", None),
        (BROKEN, 503, "storage-fault", "5"),
        (errno.EROFS, 503, "storage-fault", "5"),
    ],
)
def test_users_are_told_what_is_wrong_with_the_disk(
    client: TestClient, fault: int, status: int, kind: str, pause: str | None
) -> None:
    image = add(client, noise(1))
    with failing(fault, 0, lasting=True):
        for answer in (
            client.post("/v1/images", files={"file": noise(2)}),
            client.put("/v1/images/mine", files={"file": noise(3)}),
        ):
            assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
            assert answer.json()["type"] == f"urn:parallax:problem:{kind}"
            assert answer.headers.get("retry-after") == pause
            assert "data folder" in answer.json()["detail"]
        assert client.post("/v1/search", files={"file": noise(1)}).json()["results"][0]["id"] == image["id"]
        assert client.get(f"/v1/images/{image['id']}/content").content == noise(1)
        assert client.get(f"/v1/images/{image['id']}/thumbnail").status_code == 200
    assert client.get("/v1/images").json()["total"] == 1
    assert add(client, noise(2))


def test_a_large_picture_needs_no_disk_but_that_of_the_data_folder(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    large = noise(1, 1000)
    assert len(large) > 2_000_000
    image = add(client, large)
    assert client.get(f"/v1/images/{image['id']}/content").content == large
    assert client.put("/v1/images/mine", files={"file": noise(2, 1000)}).status_code == 201
    found = client.post("/v1/search", files={"file": large}).json()["results"]
    assert found[0]["id"] == image["id"]
    assert client.post("/v1/classify", files={"file": large}, data={"labels": ["red", "blue"]}).status_code == 200


@contextmanager
def mounted(path: Path, megabytes: int) -> Iterator[Path]:
    """A disk of that size; skipped where mounting is not allowed."""
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "parallax-test", path]
    try:
        done = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        done = False
    if not done:
        pytest.skip("a small disk can only be mounted by root")
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)


def fill(path: Path) -> None:
    """Take the last byte of a disk."""
    with path.open("ab", buffering=0) as file:
        for size in (2**16, 2**12, 1):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))


def test_a_disk_too_full_to_start_on_is_named(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", 16) as disk:
        settings = Settings(data=disk / "data", demo=False)
        with opened(settings) as client:
            add(client, noise(1))
        (settings.data / "reserve").unlink()
        fill(disk / "other things")
        with opened(settings) as client:
            startup: Startup = client.app.state.startup  # type: ignore[attr-defined]
            assert "the disk is full" in (startup.failure or "")
        (disk / "other things").unlink()
        with opened(settings) as client:
            assert client.get("/v1/images").json()["total"] == 1


def test_on_a_disk_that_is_full_pictures_can_be_found_and_deleted_until_there_is_room_again(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", 16) as disk:
        settings = Settings(data=disk / "data", demo=False)
        with opened(settings) as client:
            (disk / "other things").write_bytes(bytes(9_000_000))
            images: list[dict[str, Any]] = []
            while (answer := client.post("/v1/images", files={"file": noise(len(images), 64)})).status_code == 201:
                images += answer.json()["images"]
            assert (answer.status_code, answer.json()["type"]) == (507, "urn:parallax:problem:storage-full")
            assert client.get("/v1/images").json()["total"] == len(images)
            for number, image in enumerate(images[:60]):
                found = client.post("/v1/search", files={"file": noise(number, 64)}, data={"limit": 1}).json()
                assert found["results"][0]["id"] == image["id"]
                assert client.get(f"/v1/images/{image['id']}/content").content == noise(number, 64)
                assert client.delete(f"/v1/images/{image['id']}").status_code == 204
            assert add(client, noise(10_000, 64))
        fill(disk / "other things")
        with opened(settings) as client:
            assert client.get("/readyz").status_code == 200
            found = client.post("/v1/search", files={"file": noise(60, 64)}, data={"limit": 1}).json()
            assert found["results"][0]["id"] == images[60]["id"]
            assert client.delete(f"/v1/images/{images[60]['id']}").status_code == 204
        (disk / "other things").unlink()
        with opened(settings) as client:
            assert client.get("/v1/images").json()["total"] == len(images) - 60
        assert_sound(disk / "data")


def test_a_read_only_data_folder_is_refused_with_the_reason(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", 16) as disk:
        settings = Settings(data=disk / "data", demo=False)
        with opened(settings) as client:
            add(client, noise(1))
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        with opened(settings) as client:
            startup: Startup = client.app.state.startup  # type: ignore[attr-defined]
            assert startup.failure is not None
            assert str(settings.data) in startup.failure
            assert "Read-only file system" in startup.failure
            assert client.get("/readyz").status_code == 503
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
        with opened(settings) as client:
            assert client.get("/v1/images").json()["total"] == 1
