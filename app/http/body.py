"""Bodies that may be JSON, or a form with a file: read, checked and described the same way for every route."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException

Json = TypeVar("Json", bound=BaseModel)
Form = TypeVar("Form", bound=BaseModel)

_FIELDS = 2000
_FAULTS = 64
"""That are told one by one."""
_ANY_SIZE = sys.maxsize  # the body as a whole has its limit
READ_AS_JSON = ("", "text/plain", "application/x-www-form-urlencoded")
"""What curl and others call a body that they were not told the type of."""


@dataclass(frozen=True, slots=True)
class Body:
    """A body that has come in."""

    content: bytes | FormData

    def checked(
        self, of_json: type[Json], of_form: type[Form], *, repeated: Collection[str] = (), strict: bool = False
    ) -> Json | Form:
        """What it says. Takes its time with a large one.

        `repeated` names fields of the form that are lists; with `strict` the text "5" is no number in JSON.

        Raises RequestValidationError.
        """
        try:
            if isinstance(self.content, bytes):
                return of_json.model_validate_json(self.content, strict=strict)
            return of_form.model_validate(_fields(self.content, repeated))
        except ValidationError as error:
            if (count := error.error_count()) > _FAULTS:
                raise RequestValidationError([{"loc": ("body",), "msg": f"there are {count:,} faults in it"}]) from None
            faults = error.errors(include_url=False, include_context=False, include_input=False)
            raise RequestValidationError([{**fault, "loc": ("body", *fault["loc"])} for fault in faults]) from None


def _fields(form: FormData, repeated: Collection[str]) -> dict[str, Any]:
    fields = {name: form.getlist(name) for name in form}
    for name, values in fields.items():
        if len(values) > 1 and name not in repeated:
            raise RequestValidationError([{"loc": ("body", name), "msg": f"this field is there {len(values)} times"}])
    return {name: values if name in repeated else values[0] for name, values in fields.items()}


@asynccontextmanager
async def body_of(request: Request) -> AsyncIterator[Body]:
    """The body of a request; its file is open until the block ends. Raises HTTPException if it is of no such type."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        async with request.form(max_files=1, max_fields=_FIELDS, max_part_size=_ANY_SIZE) as form:
            yield Body(form)
    elif kind == "application/json" or kind.endswith("+json") or kind in READ_AS_JSON:
        yield Body(await request.body())
    else:
        raise HTTPException(
            415, f"A body of the type {kind[:100]} is not taken here. Send JSON or multipart/form-data."
        )


def described(of_json: type[BaseModel], of_form: type[BaseModel], *, repeated: Collection[str] = ()) -> dict[str, Any]:
    """Both bodies for the documentation of a route."""
    form = _schema(of_form)
    for name, field in form["properties"].items():
        if name not in repeated and field.get("type") in ("object", "array"):
            description = field.pop("description", "")
            encoded = {"type": "string", "contentMediaType": "application/json", "contentSchema": field}
            form["properties"][name] = {"description": f"{description} As JSON.".strip(), **encoded}
    contents = {"application/json": {"schema": _schema(of_json)}, "multipart/form-data": {"schema": form}}
    return {"requestBody": {"required": True, "content": contents}}


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of a model in one piece, without the nulls that stand for what is left out."""
    schema = model.model_json_schema()
    parts = schema.pop("$defs", {})

    def whole(value: Any) -> Any:
        if isinstance(value, list):
            return [whole(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "$ref" in value:
            return whole({**parts[value["$ref"].rpartition("/")[2]], **{k: v for k, v in value.items() if k != "$ref"}})
        given = [option for option in value.get("anyOf", []) if option != {"type": "null"}]
        if len(given) == 1:
            value = {**given[0], **{k: v for k, v in value.items() if k not in ("anyOf", "default")}}
            return whole(value)
        return {name: whole(item) for name, item in value.items() if name != "title" or not isinstance(item, str)}

    described: dict[str, Any] = whole(schema)
    return described
