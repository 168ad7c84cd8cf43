"""Every error that Parallax raises on purpose: one tree, so that callers catch as much or as little as they mean."""

from __future__ import annotations


class ParallaxError(Exception):
    """Something went wrong that a person can understand; `str(error)` is a sentence that helps them."""


def told(error: ParallaxError | OSError | ModuleNotFoundError) -> str:
    """What a command line says of an error, of a file or a missing package too."""
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        return f"{error.filename}: {reason}" if error.filename else reason
    if isinstance(error, ModuleNotFoundError):
        return f"This needs {error.name}, which is installed for training: `make setup`."
    return str(error)


class PictureError(ParallaxError):
    """The bytes given are not a picture that can be used."""


class EmptyPicture(PictureError):
    """There are no bytes."""


class UnsupportedPicture(PictureError):
    """The bytes are in none of the formats that are read here."""


class BrokenPicture(PictureError):
    """The format is known, but the content is damaged or cut off."""


class TooManyPixels(PictureError):
    """The picture is larger than the limit; told from its header, before anything is decoded."""


class ShardError(ParallaxError):
    """A shard is not a readable tar file of samples."""


class VocabularyError(ParallaxError):
    """No vocabulary of a tokenizer can be found, or the one found is not what it should be."""


class ModelFolderError(ParallaxError):
    """A model folder lacks a file, or one of its files does not fit the others."""


class WeightsError(ParallaxError):
    """A file of weights is not in the format that it should be in."""


class ForeignCheckpointError(ParallaxError):
    """A checkpoint from elsewhere cannot be read, or does not say what is needed to use it."""


class ExportError(ParallaxError):
    """A model cannot be put into another format: the format has no words for one of its parts."""
