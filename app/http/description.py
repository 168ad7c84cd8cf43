"""What /openapi.json says about every route beyond what the route says itself: keys, and how anything can go wrong."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from app.http.authorization import needed
from app.http.dialects import dialect_of
from app.schemas import Problem
from app.security.keys import Access

_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "Authorization: Bearer KEY"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "basic": {"type": "http", "scheme": "basic", "description": "KEY as the password, with any user"},
}
_PROBLEM = {
    "description": "Problem",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_OTHER_SHAPE: dict[str, Any] = {"description": "Error, as the API that is spoken here says it"}


def install_description(app: FastAPI, *, asks_for_key: bool) -> None:
    """Complete the description when it is first asked for."""
    as_routes_say = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            _complete(as_routes_say(), asks_for_key)
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(description: dict[str, Any], asks_for_key: bool) -> None:
    components = description.setdefault("components", {})
    components["securitySchemes"] = _SCHEMES
    components.setdefault("schemas", {}).setdefault("Problem", Problem.model_json_schema())
    keys: list[dict[str, list[str]]] = [{name: []} for name in _SCHEMES]
    for path, item in description["paths"].items():
        for method, route in item.items():
            if needed(method.upper(), path) is not Access.NONE:
                route["security"] = keys if asks_for_key else [{}, *keys]
            if dialect_of(path):
                route["responses"].pop("422", None)  # FastAPI's own shape, which nobody answers
            other = _OTHER_SHAPE if dialect_of(path) else _PROBLEM
            route["responses"].setdefault("default", other)
