"""/v1/classify: which of some labels fits a picture, without training on any of them."""

from __future__ import annotations

import time

from fastapi import APIRouter, Request

from app.gallery.gallery import Gallery
from app.http.body import Body, body_of, described
from app.inference.classifier import Verdict
from app.inference.queries import KeptPicture, SentPicture
from app.routes import OpenFetcher, OpenGallery, SearchDoor, problems
from app.routes.pictures import picture_source
from app.schemas import ClassifyAnswer, ClassifyBody, ClassifyForm, Label
from app.security.fetching import Fetcher

router = APIRouter(prefix="/v1/classify", tags=["search"])

_LISTS = ("labels",)


@router.post(
    "",
    responses=problems(400, 404, 413, 415, 429),
    openapi_extra=described(ClassifyBody, ClassifyForm, repeated=_LISTS),
)
async def classify(gallery: OpenGallery, door: SearchDoor, fetcher: OpenFetcher, request: Request) -> ClassifyAnswer:
    """Tell which of the labels fits a picture, sent along or in the gallery.

    The probabilities say how the labels compare with each other: they add up to 1 even if none of them fits.
    """
    began = time.perf_counter()
    async with body_of(request) as body:
        results = await door.run(_classify, gallery, fetcher, body)
    return ClassifyAnswer(results=results, took_ms=round((time.perf_counter() - began) * 1000, 3))


def _classify(gallery: Gallery, fetcher: Fetcher, body: Body) -> list[Label]:
    asked = body.checked(ClassifyBody, ClassifyForm, repeated=_LISTS, strict=True)
    if isinstance(asked, ClassifyForm) and asked.file is not None:
        source: KeptPicture | SentPicture = SentPicture(asked.file.file.read())
    else:
        assert asked.image is not None  # both bodies hold one picture
        source = picture_source(asked.image, fetcher)
    return [_label(verdict) for verdict in gallery.classify(source, asked.labels, asked.template)]


def _label(verdict: Verdict) -> Label:
    return Label(label=verdict.label, probability=round(verdict.probability, 6), score=round(verdict.score, 6))
