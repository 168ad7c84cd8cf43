"""The next item is made while the last one is used."""

import queue
import threading
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Ended:
    """What a thread leaves when it makes no more."""

    error: BaseException | None


def ahead(items: Iterable[T], depth: int = 1) -> Generator[T, None, None]:
    """The same items in the same order, up to `depth` of them made by a thread before they are asked for.

    An error in making one comes when that one is asked for. The thread ends with the iterator: when it is closed, or
    nobody holds it any more.
    """
    ready: queue.Queue[T | _Ended] = queue.Queue(depth)
    stopped = threading.Event()

    def put(item: T | _Ended) -> bool:
        while not stopped.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def make() -> None:
        error: BaseException | None = None
        iterator = iter(items)
        try:
            for item in iterator:
                if not put(item):
                    break
        except BaseException as raised:  # noqa: BLE001  it is raised where the item is asked for
            error = raised
        finally:
            if hasattr(iterator, "close"):
                iterator.close()  # here, since it belongs to this thread
        put(_Ended(error))

    def given() -> Generator[T, None, None]:
        thread = threading.Thread(target=make, name="ahead", daemon=True)
        thread.start()
        try:
            while not isinstance(item := ready.get(), _Ended):
                yield item
            if item.error is not None:
                raise item.error
        finally:
            stopped.set()
            thread.join()

    return given()
