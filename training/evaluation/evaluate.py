"""Evaluation of a model folder on captioned pictures: retrieval both ways, zero-shot classification, and slices."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model import Encoder
from model.errors import ParallaxError
from training.evaluation.bootstrap import interval, intervals
from training.evaluation.metrics import Retrieval, retrieve, summary
from training.evaluation.pictures import Described, Pictures, encode, splits
from training.evaluation.zero_shot import TEMPLATES, class_vectors, classify

SLICES = {"styles": "style", "groups": "group", "languages": "language"}
"""Kinds of slices in a result → what one of them is called."""


class LanguageError(ParallaxError):
    """A language was asked for in which no picture has a label."""


@dataclass(frozen=True, slots=True)
class Texts:
    """Queries (m) with their unit vectors (m, dim), and the concept that each asks for."""

    vectors: NDArray[np.float32]
    queries: Sequence[str]
    concepts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Measured:
    """A split, what was looked for in it and found, and the result in numbers, ready for JSON."""

    pictures: Pictures
    texts: Texts
    to_picture: Retrieval
    to_text: Retrieval
    result: dict[str, Any]


def evaluate(encoder: Encoder, folder: Path, gallery: Path | None = None) -> dict[str, Any]:
    """The numbers alone of `measure`, split by split."""
    return {name: measured.result for name, measured in measure(encoder, folder, gallery).items()}


def measure(
    encoder: Encoder,
    folder: Path,
    gallery: Path | None = None,
    *,
    templates: Sequence[str] = TEMPLATES,
    languages: Sequence[str] | None = None,
) -> dict[str, Measured]:
    """Every split found in `folder`: itself if it holds pictures, else each folder in it that does.

    With `gallery`, a split too, each split's pictures are also searched for in that gallery. `templates` are those of
    zero-shot classification, `languages` the ones to query in beside the labels' own: all there are, if None.
    """
    found = encode(encoder, gallery) if gallery else None
    measured = {
        split.name: measure_split(encoder, encode(encoder, split), found, templates, languages)
        for split in splits(folder)
    }
    for language in languages or ():
        if not any(language in of_split.result.get("languages", ()) for of_split in measured.values()):
            known = _languages(example for of_split in measured.values() for example in of_split.pictures.examples)
            raise LanguageError(f"no picture in {folder} has a label in {language!r}; there are {known or 'no others'}")
    return measured


def measure_split(
    encoder: Encoder,
    pictures: Pictures,
    gallery: Pictures | None = None,
    templates: Sequence[str] = TEMPLATES,
    languages: Sequence[str] | None = None,
) -> Measured:
    """Text → picture and picture → text, all queries and slices of them.

    One query a concept, its label, or one a caption where pictures have captions of their own: then any of a picture's
    captions is a match, as in COCO's protocol (Karpathy and Fei-Fei 2015). Labels are classified, captions are not.
    """
    texts = _texts(encoder, pictures)
    to_picture, to_text = _both_ways(pictures, texts)
    result = {
        "pictures": len(pictures.examples),
        "concepts": len(set(pictures.concepts)),
        **_directions(to_picture, to_text),
    }
    if not any(example.captions for example in pictures.examples):
        result["zero_shot"] = _zero_shot(encoder, pictures, texts, templates)
    if gallery is not None:
        known = set(gallery.concepts)
        rows = np.array([concept in known for concept in pictures.concepts])
        if rows.any():
            looking = pictures.of(rows)
            found = retrieve(looking.vectors, gallery.vectors, looking.concepts, gallery.concepts)
            result["picture_to_gallery"] = _numbers(found)
    slices = {
        "styles": dict(_by_style(pictures, texts)),
        "groups": dict(_by_group(pictures, texts, to_picture, to_text)),
        "languages": dict(_by_language(encoder, pictures, languages)),
    }
    result |= {kind: found for kind, found in slices.items() if found}
    return Measured(pictures, texts, to_picture, to_text, result)


def query(label: str) -> str:
    """A label as a person types it: `flag: Japan` without its colon."""
    return label.replace(": ", " ").replace("：", " ")


def _texts(encoder: Encoder, pictures: Pictures) -> Texts:
    labels = {example.concept: example.label for example in pictures.examples if not example.captions}
    pairs = [(concept, query(label)) for concept, label in labels.items()]
    pairs += [(example.concept, caption) for example in pictures.examples for caption in example.captions]
    return _encoded(encoder, pairs)


def _encoded(encoder: Encoder, pairs: Sequence[tuple[str, str]]) -> Texts:
    queries = [text for _, text in pairs]
    return Texts(encoder.encode_texts(queries), queries, [concept for concept, _ in pairs])


def _both_ways(pictures: Pictures, texts: Texts) -> tuple[Retrieval, Retrieval]:
    return (
        retrieve(texts.vectors, pictures.vectors, texts.concepts, pictures.concepts),
        retrieve(pictures.vectors, texts.vectors, pictures.concepts, texts.concepts),
    )


def _directions(to_picture: Retrieval, to_text: Retrieval) -> dict[str, Any]:
    return {"text_to_picture": _numbers(to_picture), "picture_to_text": _numbers(to_text)}


def _numbers(found: Retrieval) -> dict[str, Any]:
    return {**summary(found.ranks), "MAP@10": float(found.precisions.mean()), "intervals": dict(intervals(found))}


def _zero_shot(encoder: Encoder, pictures: Pictures, texts: Texts, templates: Sequence[str]) -> dict[str, Any]:
    """Every picture is sorted into all of the split's concepts."""
    classes = class_vectors(encoder, texts.queries, templates)
    places = classify(pictures.vectors, pictures.concepts, classes, texts.concepts)
    tops = {f"top-{k}": places <= k for k in (1, 5)}
    return {
        "classes": len(texts.concepts),
        "templates": list(templates),
        **{name: float(right.mean()) for name, right in tops.items()},
        "intervals": {name: interval(right) for name, right in tops.items()},
    }


def _by_style(pictures: Pictures, texts: Texts) -> Iterator[tuple[str, dict[str, Any]]]:
    """A collection that is drawn in one style, each by itself."""
    owners = np.array([example.style for example in pictures.examples])
    for style in _several(owners):
        of_style = pictures.of(owners == style)
        there = set(of_style.concepts)
        rows = [row for row, concept in enumerate(texts.concepts) if concept in there]
        known = Texts(texts.vectors[rows], [texts.queries[r] for r in rows], [texts.concepts[r] for r in rows])
        counts = {"pictures": len(of_style.examples), "concepts": len(there)}
        yield style, counts | _directions(*_both_ways(of_style, known))


def _by_group(
    pictures: Pictures, texts: Texts, to_picture: Retrieval, to_text: Retrieval
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The queries of one group, in the whole collection."""
    group_of = {example.concept: example.group for example in pictures.examples}
    asked, shown = (np.array([group_of[c] for c in concepts]) for concepts in (texts.concepts, pictures.concepts))
    for group in _several(asked):
        counts = {"pictures": int((shown == group).sum()), "concepts": int((asked == group).sum())}
        yield group, counts | _directions(to_picture.of(asked == group), to_text.of(shown == group))


def _by_language(
    encoder: Encoder, pictures: Pictures, languages: Sequence[str] | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The labels of one language, in the whole collection; concepts without one are not asked for."""
    by_concept: Mapping[str, Described] = {example.concept: example for example in pictures.examples}
    spoken = _languages(by_concept.values())
    for language in spoken if languages is None else [code for code in languages if code in spoken]:
        pairs = [(name, query(e.labels[language])) for name, e in by_concept.items() if e.labels.get(language)]
        texts = _encoded(encoder, pairs)
        asked = set(texts.concepts)
        to_picture = retrieve(texts.vectors, pictures.vectors, texts.concepts, pictures.concepts)
        known = pictures.of(np.array([concept in asked for concept in pictures.concepts]))
        to_text = retrieve(known.vectors, texts.vectors, known.concepts, texts.concepts)
        counts = {"pictures": len(known.examples), "concepts": len(asked)}
        yield language, counts | _directions(to_picture, to_text)


def _languages(examples: Iterable[Described]) -> list[str]:
    """In which some have a label beside their own."""
    return sorted({code for example in examples for code, label in example.labels.items() if label})


def _several(values: NDArray[np.str_]) -> list[str]:
    """The distinct values, if there are several."""
    distinct = [str(value) for value in np.unique(values)]
    return distinct if len(distinct) > 1 else []
