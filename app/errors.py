"""What the service raises on purpose, beside the errors of `model`. `http/problems.py` turns them into HTTP answers."""

from __future__ import annotations

from model.errors import ParallaxError


class InvalidRequest(ParallaxError):
    """The request is well-formed HTTP, but says something that cannot be done."""


class InvalidFilter(InvalidRequest):
    """A filter says something that is not in its language; the sentence names the place."""


class NotFound(ParallaxError):
    """There is no picture with this id."""


class IdTaken(ParallaxError):
    """There is a picture with this id already."""


class OriginalLost(ParallaxError):
    """The record is there, but its file is missing from the data folder."""


class NotReady(ParallaxError):
    """The service is still starting, or could not start."""


class Overloaded(ParallaxError):
    """More requests are waiting than the queue holds."""


class TooLate(ParallaxError):
    """The request waited for longer than it may."""


class Abandoned(ParallaxError):
    """The client closed the connection before its request was answered."""


class UnfetchableURL(ParallaxError):
    """The picture at an address of the web cannot be had, or may not."""


class EncoderFault(ParallaxError):
    """The model failed on an input that it should take."""


class DataFolderError(ParallaxError):
    """The data folder cannot be used."""


class IndexUnfit(ParallaxError):
    """The index on disk does not fit the catalog or the model, or is damaged."""


class StorageError(ParallaxError):
    """The data folder did not take or give what it should."""


class StorageFull(StorageError):
    """There is no room on the disk of the data folder."""


class StorageFault(StorageError):
    """The data folder cannot be read or written: it was made read-only, or the disk fails."""


class CannotListen(ParallaxError):
    """The address of the service cannot be listened on."""


class ServiceUnreachable(ParallaxError):
    """No service answers at the address given."""


class ServiceProblem(ParallaxError):
    """The service answered with an error."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
