"""A process that dies at any step of any write loses nothing that it had confirmed, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.storage.catalog import Catalog
from app.storage.folder import Layout
from tests.app.storing import Gallery, Write, assert_sound, contents, files, opened_store, sha256

WRITES = [
    Write("add", "a", 1),
    Write("add", "second record of the same file", 1),
    Write("put", "new", 3),
    Write("put", "a", 4),
    Write("add", "b", 2),  # from here on by a second process, which finds an index on disk
    Write("patch", "b", 5),
    Write("delete", "second record of the same file"),  # the last one of its file by now
    Write("put", "b", 2),
    Write("delete", "new"),
    Write("add", "again", 3),
]
REOPENED = 4


def run_to_its_death(work: Callable[[], None], step: int) -> bool:
    """Do something in a child process that is killed before its disk operation of that number. False if it gets by."""
    child = os.fork()
    if child == 0:
        left = step

        def before_a_step(*_: object) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        fsync, connect = os.fsync, Catalog._connect

        def counted_fsync(descriptor: int) -> None:
            before_a_step()
            fsync(descriptor)

        def counted_connect(catalog: Catalog) -> Any:
            connection = connect(catalog)
            connection.set_trace_callback(before_a_step)
            return connection

        def on_event(event: str, _: object) -> None:
            if event in {"open", "os.rename", "os.remove", "os.mkdir"}:
                before_a_step()

        os.fsync, Catalog._connect = counted_fsync, counted_connect  # type: ignore[method-assign]
        sys.addaudithook(on_event)
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


@pytest.mark.parametrize("stride", [9, pytest.param(1, marks=pytest.mark.slow)])
def test_a_process_killed_at_every_step_of_every_write_loses_nothing_that_it_confirmed(
    tmp_path: Path, stride: int
) -> None:
    step, killed = 0, True
    while killed:
        path, receipt = tmp_path / str(step), os.pipe()

        def work(path: Path = path, confirm: int = receipt[1]) -> None:
            for writes in (WRITES[:REOPENED], WRITES[REOPENED:]):
                with opened_store(path) as store:
                    for write in writes:
                        write.to(store)
                        os.write(confirm, b".")

        killed = run_to_its_death(work, step)
        os.close(receipt[1])
        confirmed = len(os.read(receipt[0], 1000))
        os.close(receipt[0])

        before: Gallery = {}
        for write in WRITES[:confirmed]:
            before = write.on(before)
        after = WRITES[confirmed].on(before) if confirmed < len(WRITES) else before
        if not Layout(path).is_new:
            assert_sound(path)
        with opened_store(path) as store:
            now = contents(store)
            assert now in (before, after), step
            assert files(path) == {sha256(number) for number, _ in now.values()}, step
        assert_sound(path)
        step += stride
    assert step > 200
    assert confirmed == len(WRITES)
