"""Many may read, one may write, and readers who keep coming do not keep a writer out."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from app.turnstile import Turnstile


def test_readers_share() -> None:
    turnstile, together = Turnstile(), threading.Barrier(3, timeout=60)

    def read() -> None:
        with turnstile.reading():
            together.wait()

    with ThreadPoolExecutor(3) as pool:
        for reader in [pool.submit(read) for _ in range(3)]:
            reader.result()


def test_a_writer_is_alone() -> None:
    turnstile = Turnstile()
    reading = writing = 0
    seen: list[tuple[int, int]] = []
    guard = threading.Lock()

    def read() -> None:
        nonlocal reading
        for _ in range(200):
            with turnstile.reading():
                with guard:
                    reading += 1
                seen.append((reading, writing))
                with guard:
                    reading -= 1

    def write() -> None:
        nonlocal writing
        for _ in range(200):
            with turnstile.writing():
                writing += 1
                seen.append((reading, writing))
                writing -= 1

    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(work) for work in (read, read, read, read, write, write)]:
            done.result()
    assert all(writers == 0 or (writers == 1 and readers == 0) for readers, writers in seen)


def test_a_waiting_writer_comes_before_new_readers() -> None:
    turnstile = Turnstile()
    order: list[str] = []

    def write() -> None:
        with turnstile.writing():
            order.append("writer")

    def read() -> None:
        with turnstile.reading():
            order.append("reader")

    with turnstile.reading():
        writer = threading.Thread(target=write)
        writer.start()
        while not turnstile._writers_waiting:
            pass
        reader = threading.Thread(target=read)
        reader.start()
    writer.join()
    reader.join()
    assert order == ["writer", "reader"]


def test_an_error_inside_lets_go() -> None:
    turnstile = Turnstile()
    for door in (turnstile.reading, turnstile.writing):
        try:
            with door():
                raise ValueError
        except ValueError:
            pass
    with turnstile.writing():
        pass
