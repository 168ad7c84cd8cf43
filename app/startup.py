"""From a started process to a ready service. It runs beside the server, which answers from the first moment on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from app.errors import EncoderFault, NotReady, StorageError
from app.gallery.demo import SHARD, add_demo_gallery
from app.gallery.gallery import Gallery
from app.inference.lane import Encoder
from app.operations.progress import ProgressBar
from app.schemas import Progress, ReadyAnswer
from app.settings import Settings
from app.storage.folder import DataFolder
from model.errors import ParallaxError, ShardError

log = logging.getLogger("parallax")


class Startup:
    """Opens the data folder, loads the model, opens the index and adds the demo gallery in a thread of its own.

    The gallery can be used as soon as the model is loaded. It can be searched when every picture has a vector by this
    model, which is before the demo gallery is complete.
    """

    def __init__(self, settings: Settings, encoder: Encoder | None = None) -> None:
        self._settings, self._encoder = settings, encoder
        self._gallery: Gallery | None = None
        self._step = "The service is starting."
        self._index = Progress()
        self._demo = Progress()
        self._ready = threading.Event()
        self._stop = threading.Event()
        self._open = ExitStack()
        self._thread = threading.Thread(target=self._run, name="startup")
        self.finished = threading.Event()
        """Set when the service is ready, has failed to start, or was stopped before."""
        self.failure: str | None = None
        """Why the service cannot start, as a sentence."""
        self.on_failure: Callable[[], object] = lambda: None

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop what is under way, finish what is accepted, close the data folder."""
        self._stop.set()
        self._thread.join()
        self._open.close()

    @property
    def gallery(self) -> Gallery:
        """Raises NotReady until it can be used."""
        if self._gallery is None:
            raise NotReady(self.failure or self._step)
        return self._gallery

    def status(self) -> ReadyAnswer:
        """Waits for no lock and no disk but that of counting."""
        return ReadyAnswer(
            status="failed" if self.failure else "ready" if self._ready.is_set() else "starting",
            detail=self.failure or self._step,
            model=self._encoder.name if self._encoder else None,
            images=len(self._gallery) if self._gallery else 0,
            index=self._index,
            demo=self._demo,
        )

    def _run(self) -> None:
        try:
            self._prepare()
        except ParallaxError as error:
            self._fail(str(error))
        except Exception as error:
            log.exception("the service cannot start")
            self._fail(f"The service cannot start: {error}")
        finally:
            self.finished.set()

    def _fail(self, sentence: str) -> None:
        self.failure = sentence
        self.on_failure()

    def _prepare(self) -> None:
        settings = self._settings
        folder = self._open.enter_context(DataFolder(settings.data))
        self._step = "The model is being loaded."
        encoder = self._encoder = self._encoder or load_encoder(settings)
        gallery = self._open.enter_context(
            Gallery(folder, encoder, max_pixels=settings.max_pixels, target_recall=settings.target_recall)
        )
        self._gallery = gallery
        with self._indexing("new model", "The pictures are being read with another model than before") as report:
            gallery.encode_missing(report, self._stop)
        if self._stop.is_set():
            return
        with self._indexing("index", "The index is being made from the catalog") as report:
            gallery.open_index(report, self._stop)
        if settings.demo:
            self._add_demo_gallery(gallery)
        if not self._stop.is_set():
            self._step = "The service is ready."
            self._ready.set()
            log.info("ready: %s pictures, model %s", f"{len(gallery):,}", encoder.name)
            gallery.save_index()

    @contextmanager
    def _indexing(self, title: str, sentence: str) -> Iterator[Callable[[int, int], None]]:
        """Gives a function that is told how many of how many are done, and tells those who ask."""
        with ProgressBar(title) as bar:

            def report(done: int, total: int) -> None:
                self._index = Progress(done=done, total=total)
                if total:
                    self._step = f"{sentence}: {done:,} of {total:,} pictures."
                    self.gallery.wait_because(self._step)
                bar(done, total)

            yield report

    def _add_demo_gallery(self, gallery: Gallery) -> None:
        self._step = "The demo gallery is being added."
        with ProgressBar("demo gallery") as bar:

            def report(done: int, total: int) -> None:
                self._demo = Progress(done=done, total=total)
                bar(done, total)

            try:
                add_demo_gallery(gallery, SHARD, report, self._stop)
            except (ShardError, StorageError, EncoderFault) as error:
                log.warning("the demo gallery was left out: %s", error)


def load_encoder(settings: Settings) -> Encoder:
    """The model that the settings name. Raises ModelFolderError."""
    from model import load  # brings the runtime with it, which takes a moment

    return load(settings.model, runtime=settings.runtime, threads=settings.threads)
