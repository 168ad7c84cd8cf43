"""A client of the service, as small as its API."""

from __future__ import annotations

import ipaddress
import json
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import httpx

from app.errors import ServiceProblem, ServiceUnreachable
from app.schemas import AddAnswer, AddedImage, Problem, SearchAnswer

_CONNECT_SECONDS, _ANSWER_SECONDS = 5, 300


class Client:
    """Context manager. Every method raises ServiceUnreachable or ServiceProblem, each with a sentence.

    A service that says it is busy or still starting is asked again, for up to `patience` seconds.
    """

    def __init__(self, url: str, *, patience: float = 60) -> None:
        self.url = url.rstrip("/")
        self._patience = patience
        timeout = httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS)
        self._http = httpx.Client(base_url=self.url, timeout=timeout, trust_env=not _is_local(self.url))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._http.close()

    def add(self, pictures: Sequence[bytes], metadata: Sequence[Mapping[str, Any]]) -> list[AddedImage | Problem]:
        """Add pictures, with the metadata of each. Of each its record, or what is wrong with it."""
        files = [("file", (str(number), picture)) for number, picture in enumerate(pictures)]
        response = self._send("/v1/images", files=files, data={"metadata": json.dumps(metadata)})
        body = _json(response)
        if response.is_error and "errors" in body:  # all of them failed
            body = {"images": [], "errors": body["errors"]}
        else:
            _check(response, body)
        answer = AddAnswer.model_validate(body)
        problems = {int(error.filename or 0): error.problem for error in answer.errors}
        images = iter(answer.images)
        return [problems[number] if number in problems else next(images) for number in range(len(pictures))]

    def search_text(self, text: str, limit: int = 10) -> SearchAnswer:
        return self._search(json={"text": text, "limit": limit})

    def search_picture(self, data: bytes, limit: int = 10) -> SearchAnswer:
        return self._search(files={"file": data}, data={"limit": str(limit)})

    def _search(self, **body: Any) -> SearchAnswer:
        response = self._send("/v1/search", **body)
        answer = _json(response)
        _check(response, answer)
        return SearchAnswer.model_validate(answer)

    def _send(self, path: str, **body: Any) -> httpx.Response:
        deadline = time.monotonic() + self._patience
        while True:
            try:
                response = self._http.post(path, **body)
            except (httpx.TransportError, httpx.InvalidURL) as error:
                raise ServiceUnreachable(f"No Parallax service answers at {self.url}: {error}.") from error
            pause = float(response.headers.get("Retry-After", 0))
            if response.status_code not in (429, 503) or not pause or time.monotonic() + pause > deadline:
                return response
            time.sleep(pause)


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        sentence = f"{response.url} answered {response.status_code}, but not as a Parallax service does."
        raise ServiceProblem(response.status_code, sentence)
    return body


def _check(response: httpx.Response, body: dict[str, Any]) -> None:
    if response.is_error:
        raise ServiceProblem(response.status_code, str(body.get("detail", body)))


def _is_local(url: str) -> bool:
    """Such an address is never reached through a proxy, whatever the environment says."""
    try:
        host = httpx.URL(url).host
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except (ValueError, httpx.InvalidURL):
        return False
