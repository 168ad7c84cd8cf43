"""A contact sheet: the best and the worst queries of an evaluation with what they found, as one HTML file."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model import Encoder
from model.picture import decode
from training.data.bad import BadSamples
from training.evaluation.evaluate import Measured, Texts
from training.evaluation.metrics import RANKS, Retrieval
from training.evaluation.pictures import Pictures, read
from training.evaluation.sheet_style import STYLE

WORST, BEST = 18, 9
"""Queries of each split and direction."""
_HITS, _TEXTS = 6, 5
"""Pictures, and texts, shown of what a query finds."""
_THUMBNAIL = 112
"""Longest side, in pixels."""


@dataclass(frozen=True, slots=True)
class Card:
    """One query by its row, the gallery's rows that are nearest to it with their cosines, and the best-placed match."""

    row: int
    hits: Sequence[tuple[int, float]]
    match: int


@dataclass(frozen=True, slots=True)
class Half:
    """The worst queries of a direction, or the best."""

    title: str
    cards: Sequence[Card]


def contact_sheet(encoder: Encoder, measured: Mapping[str, Measured]) -> str:
    """One page, whole by itself: pictures are in it as thumbnails, and it fits light and dark screens."""
    nav = "".join(f'<a href="#{escape(name)}">{escape(name)}</a>' for name in measured)
    sections = "".join(_section(name, of_split) for name, of_split in measured.items())
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(encoder.name)}: best and worst queries</title><style>{STYLE}</style></head><body>"
        f"<header><h1>{escape(encoder.name)}</h1><p>What its best and its worst queries find. "
        '<span class="key right">right</span> <span class="key">not what was asked for</span></p>'
        f"<nav>{nav}</nav></header><main>{sections}</main></body></html>\n"
    )


def _section(name: str, measured: Measured) -> str:
    pictures, texts = measured.pictures, measured.texts
    by_text = _halves(measured.to_picture, texts, pictures, _HITS)
    by_picture = _halves(measured.to_text, pictures, texts, _TEXTS)
    shown = {row for half in by_text for card in half.cards for row in (card.match, *(hit for hit, _ in card.hits))}
    thumbnails = _thumbnails(pictures, shown | {card.row for half in by_picture for card in half.cards})
    parts = [f"<h2>{escape(name)}</h2>"]
    parts.append(f'<p class="muted">{len(pictures.examples):,} pictures, {len(texts.queries):,} texts</p>')
    parts.append(_heading("Text → picture", measured.result["text_to_picture"]))
    for half in by_text:
        cards = "".join(_text_card(measured, card, thumbnails) for card in half.cards)
        parts.append(f'<h4>{half.title}</h4><div class="wide">{cards}</div>')
    parts.append(_heading("Picture → text", measured.result["picture_to_text"]))
    for half in by_picture:
        cards = "".join(_picture_card(measured, card, thumbnails) for card in half.cards)
        parts.append(f'<h4>{half.title}</h4><div class="narrow">{cards}</div>')
    return f'<section id="{escape(name)}">{"".join(parts)}</section>'


def _heading(title: str, numbers: Mapping[str, float]) -> str:
    recalls = " ".join(f"<b>R@{k} {numbers[f'R@{k}']:.2f}</b>" for k in RANKS)
    return f'<div class="direction"><h3>{title}</h3><p>{recalls} median rank {numbers["median_rank"]:.0f}</p></div>'


def _halves(found: Retrieval, queries: Texts | Pictures, gallery: Texts | Pictures, hits: int) -> Sequence[Half]:
    halves = zip(("The worst", "The best"), choose(found), strict=True)
    return [
        Half(f"{word} {len(rows)} of {len(found.ranks):,}", cards(rows, queries, gallery, hits))
        for word, rows in halves
        if len(rows)
    ]


def choose(found: Retrieval) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the worst queries, by rank, and of the best, by how far ahead of anything else their match is.

    Of queries that all find what they look for only the best are shown, of ones that never do only the worst.
    """
    margin = found.match - found.other
    order = np.lexsort((margin, -found.ranks))
    return order[found.ranks[order] > 1][:WORST], order[found.ranks[order] == 1][::-1][:BEST]


def cards(rows: NDArray[np.int64], queries: Texts | Pictures, gallery: Texts | Pictures, hits: int) -> Sequence[Card]:
    """What the queries in some rows find."""
    scores = queries.vectors[rows] @ gallery.vectors.T  # (s, m)
    nearest = np.argsort(-scores, axis=1, kind="stable")[:, :hits]
    owners = np.array(gallery.concepts)
    made = []
    for row, score, order in zip(rows, scores, nearest, strict=True):
        match = np.where(owners == queries.concepts[row], score, -np.inf).argmax()
        made.append(Card(int(row), [(int(hit), float(score[hit])) for hit in order], int(match)))
    return made


def _text_card(measured: Measured, card: Card, thumbnails: Mapping[int, str]) -> str:
    concept, examples = measured.texts.concepts[card.row], measured.pictures.examples
    tiles = "".join(
        _tile(thumbnails[hit], examples[hit].label, f"{cosine:.2f}", examples[hit].concept == concept)
        for hit, cosine in card.hits
    )
    if card.match not in dict(card.hits):
        cosine = measured.to_picture.match[card.row]
        tiles += f'<div class="wanted">{_tile(thumbnails[card.match], "asked for", f"{cosine:.2f}", True)}</div>'
    title = _title(measured.texts.queries[card.row], int(measured.to_picture.ranks[card.row]))
    return f'<article>{title}<div class="tiles">{tiles}</div></article>'


def _picture_card(measured: Measured, card: Card, thumbnails: Mapping[int, str]) -> str:
    texts, example = measured.texts, measured.pictures.examples[card.row]
    hits = list(card.hits)
    if card.match not in dict(hits):
        hits.append((card.match, float(measured.to_text.match[card.row])))
    items = "".join(
        f"<li{_right(texts.concepts[hit] == example.concept)}><span>{escape(texts.queries[hit])}</span>"
        f'<i style="--part:{max(cosine, 0):.2f}"></i><small>{cosine:.2f}</small></li>'
        for hit, cosine in hits
    )
    style = f'<p class="muted">{escape(example.style)}</p>' if example.style else ""
    picture = f'<figure><img loading="lazy" src="{thumbnails[card.row]}" alt="{escape(example.label)}">{style}</figure>'
    title = _title(example.label, int(measured.to_text.ranks[card.row]))
    return f'<article>{title}<div class="read">{picture}<ol>{items}</ol></div></article>'


def _title(text: str, rank: int) -> str:
    first = " data-first" if rank == 1 else ""
    return f'<header><h5>{escape(text)}</h5><span class="rank"{first}>rank {rank:,}</span></header>'


def _tile(source: str, label: str, cosine: str, right: bool) -> str:
    image = f'<img loading="lazy" src="{source}" alt="{escape(label)}" title="{escape(label)}">'
    return f"<figure{_right(right)}>{image}<figcaption>{escape(label)}<small>{cosine}</small></figcaption></figure>"


def _right(right: bool) -> str:
    return ' class="right"' if right else ""


def _thumbnails(pictures: Pictures, rows: set[int]) -> dict[int, str]:
    """Data URIs of the pictures in some rows, which are read again."""
    wanted: dict[str, list[int]] = {}
    for row in rows:  # a picture that is listed twice has one key
        wanted.setdefault(pictures.examples[row].key, []).append(row)
    again = read(pictures.source, BadSamples())
    found = {example.key: _thumbnail(data) for example, data in again if example.key in wanted}
    return {row: found[key] for key, same in wanted.items() for row in same}


def _thumbnail(data: bytes) -> str:
    image = decode(data).image
    image.thumbnail((_THUMBNAIL, _THUMBNAIL), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, "WEBP", quality=70, method=4)
    return f"data:image/webp;base64,{base64.b64encode(out.getvalue()).decode()}"
