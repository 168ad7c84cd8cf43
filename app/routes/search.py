"""/v1/search: find pictures by words, pictures and vectors, among those that a filter leaves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app.admission.door import Door
from app.filters import parse_filter, read_filter
from app.gallery.gallery import Found, Gallery
from app.http.body import Body, body_of, described
from app.inference.queries import GivenVector, Part, SentPicture, Words
from app.routes import OpenFetcher, OpenGallery, SearchDoor, problems
from app.routes.answers import answered
from app.routes.pictures import picture_source
from app.schemas import QueryPart, Result, SearchAnswer, SearchBody, SearchForm, SearchQuery
from app.security.fetching import Fetcher

router = APIRouter(prefix="/v1/search", tags=["search"])


@router.get("", response_model=SearchAnswer, responses=problems(429))
async def search_by_words(gallery: OpenGallery, door: SearchDoor, query: Annotated[SearchQuery, Query()]) -> Response:
    """Find pictures that show what the words say."""

    def find() -> Found:
        return gallery.search(
            [Part(Words(query.q))],
            limit=query.limit,
            offset=query.offset,
            condition=read_filter(query.filter),
            min_relevance=query.min_relevance,
        )

    return await _answer(door, find)


@router.post(
    "",
    response_model=SearchAnswer,
    responses=problems(400, 404, 413, 415, 429),
    openapi_extra=described(SearchBody, SearchForm),
)
async def search(gallery: OpenGallery, door: SearchDoor, fetcher: OpenFetcher, request: Request) -> Response:
    """Find pictures by words, by a picture that is in the gallery or sent along, by a vector, or by several of them.

    The parts of a `query` are added up by their weights; a negative weight pushes away. With a `filter` the results are
    the nearest of those pictures that match it. A picture of the gallery is itself the first result of a search with
    its id.
    """
    async with body_of(request) as body:
        return await _answer(door, lambda: _search(gallery, fetcher, body))


async def _answer(door: Door, find: Callable[[], Found]) -> Response:
    began = time.perf_counter()

    def answer() -> SearchAnswer:
        found = find()
        results = [Result.of(match) for match in found.matches]
        took_ms = round((time.perf_counter() - began) * 1000, 3)
        return SearchAnswer(results=results, took_ms=took_ms, exact=found.exact, recall_estimate=found.recall_estimate)

    return await answered(door, answer)


def _search(gallery: Gallery, fetcher: Fetcher, body: Body) -> Found:
    asked = body.checked(SearchBody, SearchForm, strict=True)
    condition = parse_filter(asked.filter)  # before anything is fetched or encoded
    return gallery.search(
        list(_parts(asked, fetcher)),
        limit=asked.limit,
        offset=asked.offset,
        condition=condition,
        min_relevance=asked.min_relevance,
    )


def _parts(asked: SearchBody | SearchForm, fetcher: Fetcher) -> Iterator[Part]:
    if isinstance(asked, SearchForm) and asked.file is not None:
        yield Part(SentPicture(asked.file.file.read()))
        if asked.query is None:
            return
    alone = QueryPart.model_construct(text=asked.text, image=asked.image, vector=asked.vector, weight=1.0)
    for part in asked.query or [alone]:
        if part.text is not None:
            yield Part(Words(part.text), part.weight)
        elif part.vector is not None:
            yield Part(GivenVector(part.vector), part.weight)
        elif part.image is not None:
            yield Part(picture_source(part.image, fetcher), part.weight)
