"""Answers that are written piece by piece are what pydantic writes at once."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from app.routes.answers import in_pieces
from app.schemas import Image, ListAnswer, Result, SearchAnswer


def image(number: int) -> Image:
    return Image(
        id=f"p{number}",
        sha256="0" * 64,
        width=3,
        height=4,
        content_type="image/png",
        bytes=5,
        created_at="2026-01-01T00:00:00Z",
        metadata={"n": [10**400, -0.0, 1e300, None], 'é"\u2028': {"🍎": [{}, [], ""]}},
    )


def result(number: int) -> Result:
    return Result(
        id=f"p{number}",
        score=1 / (number + 3),
        relevance=0.5,
        metadata={"n": number},
        width=3,
        height=4,
        content_url="/c",
        thumbnail_url="/t",
    )


@pytest.mark.parametrize(
    "answer",
    [
        *(ListAnswer(images=list(map(image, range(n))), next_cursor=None if n else "x", total=n) for n in (0, 1, 3)),
        *(SearchAnswer(results=list(map(result, range(n))), took_ms=0.1, exact=n == 1) for n in (0, 1, 3)),
        SearchAnswer(results=[], took_ms=3, exact=False, recall_estimate=0.99),
    ],
    ids=lambda answer: str(answer)[:40],
)
def test_an_answer_in_pieces_is_the_answer(answer: BaseModel) -> None:
    assert b"".join(in_pieces(answer)) == answer.model_dump_json().encode()


def test_no_piece_holds_two_items() -> None:
    answer = ListAnswer(images=[image(1), image(2)], next_cursor=None, total=2)
    assert max(map(len, in_pieces(answer))) == len(image(1).model_dump_json().encode())
