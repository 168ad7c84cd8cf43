"""/v1/models, as OpenAI's API has it: the model that makes the vectors."""

from __future__ import annotations

from fastapi import APIRouter, Request

from app.errors import NotFound
from app.gallery.gallery import Gallery
from app.routes import OpenGallery
from app.schemas.dialects import OpenAIError
from app.schemas.models import Model, ModelsAnswer

router = APIRouter(prefix="/v1/models", tags=["compatibility"])


@router.get("", responses={503: {"model": OpenAIError}})
def list_models(gallery: OpenGallery, request: Request) -> ModelsAnswer:
    """All models there are, which is one, with the size of its vectors and their fingerprint."""
    return ModelsAnswer(data=[_model(gallery, request)])


@router.get("/{model:path}", responses={404: {"model": OpenAIError}, 503: {"model": OpenAIError}})
def get_model(gallery: OpenGallery, request: Request, model: str) -> Model:
    """The model of this name."""
    there = _model(gallery, request)
    if model != there.id:
        raise NotFound(f"There is no model {model!r} here; the one there is has the name {there.id!r}.")
    return there


def _model(gallery: Gallery, request: Request) -> Model:
    encoder, created = gallery.encoder, request.app.state.created
    return Model(id=encoder.name, created=created, embedding_size=encoder.dim, fingerprint=encoder.fingerprint)
