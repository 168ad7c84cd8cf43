"""A client of the service, as small as its API.

with Client("http://127.0.0.1:8000") as client:
    client.put("oslo-1", Path("oslo.jpg").read_bytes(), {"place": "Oslo"})
    for result in client.search(text="a ship", filter={"place": "Oslo"}).results:
        print(result.relevance, result.id)
"""

from __future__ import annotations

import base64
import ipaddress
import json
import re
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from app.errors import InvalidRequest, ServiceProblem, ServiceUnreachable
from app.schemas import (
    AddAnswer,
    AddedImage,
    ClassifyAnswer,
    Image,
    ListAnswer,
    Problem,
    ReadyAnswer,
    SearchAnswer,
)
from app.schemas.models import Model, ModelsAnswer

_CONNECT_SECONDS, _ANSWER_SECONDS = 5, 300
_SENDABLE = re.compile("[!-~]+")

Answer = TypeVar("Answer", bound=BaseModel)
Filter = Mapping[str, Any]
"""Conditions on the metadata, as in MongoDB: {"place": "Oslo", "year": {"$gte": 2020}}"""


class Client:
    """Context manager. Every method raises ServiceUnreachable or ServiceProblem, each with a sentence.

    A service that says it is busy or still starting is asked again, for up to `patience` seconds. `key` is for one that
    asks for it. Threads may share a client.
    """

    def __init__(self, url: str, *, key: str | None = None, patience: float = 60) -> None:
        if key is not None and not _SENDABLE.fullmatch(key):
            raise InvalidRequest("This key cannot be sent: a key has only visible ASCII characters.")
        self.url = url.rstrip("/")
        self._patience = patience
        self._http = httpx.Client(
            timeout=httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS),
            headers={} if key is None else {"Authorization": f"Bearer {key}"},
            trust_env=not _is_local(self.url),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    # Pictures

    def add(
        self,
        picture: bytes,
        metadata: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,  # noqa: A002
    ) -> AddedImage:
        """Add a picture; one whose bytes are there already is a duplicate, unless it has an id of its own."""
        data = {} if id is None else {"id": id}
        if metadata is not None:
            data["metadata"] = json.dumps(metadata)
        return self._ask(AddAnswer, "POST", "/v1/images", files={"file": ("picture", picture)}, data=data).images[0]

    def add_many(self, pictures: Sequence[bytes], metadata: Sequence[Mapping[str, Any]]) -> list[AddedImage | Problem]:
        """Add pictures, with the metadata of each. Of each its record, or what is wrong with it."""
        files = [("file", (str(number), picture)) for number, picture in enumerate(pictures)]
        response = self._send("POST", "/v1/images", files=files, data={"metadata": json.dumps(metadata)})
        body = _json(response)
        if response.is_error and "errors" in body:  # all of them failed
            body = {"images": [], "errors": body["errors"]}
        else:
            _check(response, body)
        answer = _read(AddAnswer, response, body)
        problems = {int(error.filename or 0): error.problem for error in answer.errors}
        images = iter(answer.images)
        return [problems[number] if number in problems else next(images) for number in range(len(pictures))]

    def put(self, image_id: str, picture: bytes, metadata: Mapping[str, Any] | None = None) -> Image:
        """Add a picture under an id of one's own, or put it in the place of the one that has it."""
        data = None if metadata is None else {"metadata": json.dumps(metadata)}
        return self._ask(Image, "PUT", _at(image_id), files={"file": ("picture", picture)}, data=data)

    def get(self, image_id: str) -> Image:
        """The record of a picture."""
        return self._ask(Image, "GET", _at(image_id))

    def page(self, *, limit: int = 50, cursor: str | None = None, filter: Filter | None = None) -> ListAnswer:  # noqa: A002
        """Some pictures, newest first; `cursor` is `next_cursor` of the page before."""
        params = {"limit": limit, "cursor": cursor, "filter": None if filter is None else json.dumps(filter)}
        return self._ask(ListAnswer, "GET", "/v1/images", params=_given(params))

    def images(self, filter: Filter | None = None) -> Iterator[Image]:  # noqa: A002
        """All pictures, newest first, read page by page."""
        cursor = None
        while True:
            page = self.page(limit=1000, cursor=cursor, filter=filter)
            yield from page.images
            if (cursor := page.next_cursor) is None:
                return

    def content(self, image_id: str) -> bytes:
        """The original bytes."""
        return self._bytes(_at(image_id) + "/content")

    def thumbnail(self, image_id: str) -> bytes:
        """A small WebP."""
        return self._bytes(_at(image_id) + "/thumbnail")

    def update_metadata(self, image_id: str, patch: Mapping[str, Any]) -> Image:
        """Change metadata by a JSON merge patch (RFC 7396): what is null in it is removed, what is not in it stays."""
        content = json.dumps({"metadata": patch})
        headers = {"Content-Type": "application/merge-patch+json"}
        return self._ask(Image, "PATCH", _at(image_id), content=content, headers=headers)

    def delete(self, image_id: str) -> None:
        """Remove a picture; when this returns, no search finds it."""
        response = self._send("DELETE", _at(image_id))
        if response.is_error:
            _check(response, _json(response))

    # Questions

    def search(
        self,
        *,
        text: str | None = None,
        picture: bytes | None = None,
        like: str | None = None,
        vector: Sequence[float] | None = None,
        query: Sequence[Mapping[str, Any]] | None = None,
        filter: Filter | None = None,  # noqa: A002
        limit: int = 10,
        offset: int = 0,
        min_relevance: float | None = None,
    ) -> SearchAnswer:
        """The pictures nearest to words, to a picture, to one of the gallery by its id, to a vector or a weighted sum.

        Parts of `query` are as in the API: {"text" | "image" | "vector", "weight"}.
        """
        image = None if like is None else {"id": like}
        what = {"text": text, "image": image, "vector": vector, "query": query}
        window = {"filter": filter, "limit": limit, "offset": offset, "min_relevance": min_relevance}
        return self._question(SearchAnswer, "/v1/search", {**what, **window}, picture)

    def classify(
        self,
        labels: Sequence[str],
        *,
        picture: bytes | None = None,
        like: str | None = None,
        template: str | None = None,
    ) -> ClassifyAnswer:
        """Which of the labels fits a picture, or the picture of an id, and how probably. `template` has a place, {}."""
        image = None if like is None else {"id": like}
        fields = {"labels": list(labels), "template": template, "image": image}
        return self._question(ClassifyAnswer, "/v1/classify", fields, picture)

    def embed(self, inputs: Sequence[str | bytes]) -> list[list[float]]:
        """The vectors of texts (str) and pictures (bytes), in their order."""
        items = [one if isinstance(one, str) else {"image": base64.b64encode(one).decode()} for one in inputs]
        body = {"input": items, "encoding_format": "base64"}
        response = self._send("POST", "/v1/embeddings", json=body)
        answer = _json(response)
        _check(response, answer)
        vectors = [base64.b64decode(one["embedding"]) for one in answer["data"]]
        return [list(struct.unpack(f"<{len(vector) // 4}f", vector)) for vector in vectors]

    # The service

    def models(self) -> list[Model]:
        """What makes the vectors."""
        return self._ask(ModelsAnswer, "GET", "/v1/models").data

    def readiness(self) -> ReadyAnswer:
        """Whether the service is ready, and what it is doing; asked once, without patience."""
        response = self._once("GET", "/readyz")
        return _read(ReadyAnswer, response, _json(response))

    def _question(self, answer: type[Answer], path: str, given: Mapping[str, Any], picture: bytes | None) -> Answer:
        """As JSON; as a form with the picture's bytes if there is one."""
        fields = _given(given)
        if picture is None:
            return self._ask(answer, "POST", path, json=fields)
        form = {name: value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()}
        return self._ask(answer, "POST", path, files={"file": ("picture", picture)}, data=form)

    def _ask(self, answer: type[Answer], method: str, path: str, **request: Any) -> Answer:
        response = self._send(method, path, **request)
        body = _json(response)
        _check(response, body)
        return _read(answer, response, body)

    def _bytes(self, path: str) -> bytes:
        response = self._send("GET", path)
        if response.is_error:
            _check(response, _json(response))
        return response.content

    def _send(self, method: str, path: str, **request: Any) -> httpx.Response:
        deadline = time.monotonic() + self._patience
        while True:
            response = self._once(method, path, **request)
            pause = _retry_after(response)
            if pause is None or time.monotonic() + pause > deadline:
                return response
            time.sleep(pause)

    def _once(self, method: str, path: str, **request: Any) -> httpx.Response:
        try:
            return self._http.request(method, self.url + path, **request)
        except (httpx.RequestError, httpx.InvalidURL) as error:
            raise ServiceUnreachable(f"No Parallax service answers at {self.url}: {error}.") from error


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _at(image_id: str) -> str:
    return f"/v1/images/{quote(image_id, safe='')}"


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds after which a service that is busy wants to be asked again."""
    if response.status_code not in (429, 503):
        return None
    try:
        return max(0.1, float(response.headers["Retry-After"]))
    except (KeyError, ValueError):
        return None


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise _no_service(response)
    return body


def _read(answer: type[Answer], response: httpx.Response, body: dict[str, Any]) -> Answer:
    try:
        return answer.model_validate(body)
    except ValidationError as error:
        raise _no_service(response) from error


def _no_service(response: httpx.Response) -> ServiceProblem:
    sentence = f"{response.url} answered {response.status_code}, but not as a Parallax service does."
    return ServiceProblem(response.status_code, sentence)


def _check(response: httpx.Response, body: dict[str, Any]) -> None:
    if response.is_error:
        spoken = body.get("error")  # as OpenAI's API says it
        sentence = spoken.get("message") if isinstance(spoken, dict) else body.get("detail")
        raise ServiceProblem(response.status_code, str(sentence or body))


def _is_local(url: str) -> bool:
    """Such an address is never reached through a proxy, whatever the environment says."""
    try:
        host = httpx.URL(url).host
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except (ValueError, httpx.InvalidURL):
        return False
