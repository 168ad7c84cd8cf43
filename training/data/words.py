"""What a sample says of its picture, from the files and fields in which people keep that."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

CAPTION_KEYS = ("caption", "captions", "text", "title", "label", "description", "prompt")
"""Fields that hold what a picture shows, the first of them that there is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """Of one picture: a label, further captions as good as it, keywords, the concept and the manner of drawing.

    `group` is the kind of its concept; `labels` and `keywords` are label and tags in other languages, by their codes.
    """

    label: str
    captions: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    concept: str = ""
    style: str = ""
    group: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    keywords: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def meaning(self) -> str:
        """The concept; a picture without one is of its own label, in which capitals mean nothing."""
        return self.concept or self.label.casefold()

    def as_example(self) -> dict[str, Any]:
        """The fields of an `Example`."""
        return {
            "label": self.label,
            "captions": self.captions,
            "tags": self.tags,
            "concept": self.meaning,
            "style": self.style,
            "labels": self.labels,
            "keywords": self.keywords,
        }


def words(captions: object, tags: object = None, concept: object = None, style: object = None) -> Words:
    """Of values as they are found: captions one text or several, tags a list or a text with commas.

    Raises ValueError, with the reason, where there is no caption or a text is not Unicode.
    """
    if isinstance(captions, int | float):
        raise ValueError(f"its caption is the number {captions}")
    said = texts(captions)
    if not said:
        raise ValueError("it has no caption")
    split = tags.split(",") if isinstance(tags, str) else tags
    return Words(
        label=said[0],
        captions=said[1:],
        tags=texts(split),
        concept=" ".join(texts(concept)),
        style=" ".join(texts(style)),
    )


def words_of_files(text: bytes | None, fields: bytes | None) -> Words:
    """Of `KEY.txt` and `KEY.json`; the JSON is img2dataset's, or holds what `training prepare` writes as `metadata`.

    Raises ValueError, with the reason.
    """
    found = read_json(fields) if fields is not None else {}
    metadata = found.get("metadata")
    if not isinstance(metadata, Mapping):
        metadata = {}
    caption = decoded(text) if text is not None else ""
    said = words(
        caption if caption.strip() else first(found, CAPTION_KEYS),
        metadata.get("tags", found.get("tags")),
        metadata.get("concept", found.get("concept")),
        metadata.get("source", found.get("style")),
    )
    labels, keywords = metadata.get("labels"), metadata.get("keywords")
    return replace(
        said,
        group=" ".join(texts(metadata.get("group"))),
        labels={str(code): str(label) for code, label in labels.items()} if isinstance(labels, Mapping) else {},
        keywords={str(code): texts(tags) for code, tags in keywords.items()} if isinstance(keywords, Mapping) else {},
    )


def first(fields: Mapping[str, Any], names: Sequence[str]) -> object:
    """The first of these fields that says something."""
    return next((fields[name] for name in names if fields.get(name)), None)


def read_json(data: bytes) -> Mapping[str, Any]:
    """An object in JSON. Raises ValueError, with the reason."""
    try:
        found = json.loads(data)
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"its JSON cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise ValueError("its JSON is no object")
    return found


def decoded(data: bytes) -> str:
    """A text in UTF-8, with or without a byte order mark. Raises ValueError, with the reason."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"its caption is not UTF-8: {error.reason} at byte {error.start}") from None


def texts(value: object) -> tuple[str, ...]:
    """One text, a list of them, or a number → the texts that are not blank, with single spaces."""
    several = value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else [value]
    found = (
        " ".join((decoded(text) if isinstance(text, bytes) else str(text)).split())
        for text in several
        if text is not None
    )
    kept = tuple(text for text in found if text)
    for text in kept:
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            raise ValueError("its text is not UTF-8")
    return kept
