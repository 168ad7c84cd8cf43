"""Bodies of requests and answers, one file a subject. `/docs` and the client are made from these."""

from app.schemas.classify import ClassifyAnswer, ClassifyBody, ClassifyForm, Label
from app.schemas.fields import MAX_LIMIT, MAX_OFFSET, MAX_TEXT, Limit, MinRelevance, Offset, PictureQuery, Text
from app.schemas.health import LiveAnswer, Progress, ReadyAnswer
from app.schemas.images import (
    AddAnswer,
    AddedImage,
    FailedFile,
    Image,
    ListAnswer,
    ListQuery,
)
from app.schemas.models import Model, ModelsAnswer
from app.schemas.problem import Problem
from app.schemas.search import (
    QueryPart,
    Result,
    SearchAnswer,
    SearchBody,
    SearchForm,
    SearchQuery,
    SearchWindow,
)

__all__ = [
    "MAX_LIMIT",
    "MAX_OFFSET",
    "MAX_TEXT",
    "AddAnswer",
    "AddedImage",
    "ClassifyAnswer",
    "ClassifyBody",
    "ClassifyForm",
    "FailedFile",
    "Image",
    "Label",
    "Limit",
    "ListAnswer",
    "ListQuery",
    "LiveAnswer",
    "MinRelevance",
    "Model",
    "ModelsAnswer",
    "Offset",
    "PictureQuery",
    "Problem",
    "Progress",
    "QueryPart",
    "ReadyAnswer",
    "Result",
    "SearchAnswer",
    "SearchBody",
    "SearchForm",
    "SearchQuery",
    "SearchWindow",
    "Text",
]
