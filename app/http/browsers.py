"""What every answer and every request has to do with browsers, whatever route it is: headers, origin, host."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http.problems import ProblemResponse
from app.schemas import Problem

CSP_DATA = "default-src 'none'; frame-ancestors 'none'; sandbox"
"""For answers that are no page: a browser that is led to open one runs nothing."""
CSP_PAGE = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self';"
    " manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""For pages: nothing from other hosts, nothing inline."""

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": CSP_DATA,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class SecurityHeaders:
    """ASGI middleware: puts the headers above on every answer that does not set them itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


class SameOriginWrites:
    """ASGI middleware: refuses writes that a page of another site makes a visitor's browser send.

    The service on a person's own machine has no password to keep such requests out. Programs send no such headers.
    https://web.dev/articles/fetch-metadata
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in {"GET", "HEAD", "OPTIONS"} and _is_foreign(scope):
            detail = "This request comes from a page of another site, which may not write here."
            await _problem(403, "Forbidden", detail)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _is_foreign(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    if (site := headers.get("sec-fetch-site")) is not None:
        return site not in {"same-origin", "none"}
    origin = headers.get("origin")
    try:
        return origin is not None and urlsplit(origin).netloc != headers.get("host")
    except ValueError:  # no browser's
        return True


class OwnHosts:
    """ASGI middleware: refuses requests for a name that is not ours.

    A page of another site can have the browser take this service for its own, by giving its own name this machine's
    address (DNS rebinding). Such a name has a dot in it. Addresses are no names, and names without a dot nobody owns.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not _is_own(host := Headers(scope=scope).get("host", "")):
            detail = (
                f"This service is not called {_shown(host)}. If that is its name at a proxy, set PARALLAX_API_KEYS, or"
                " PARALLAX_ALLOW_OPEN=1."
            )
            await _problem(421, "Misdirected Request", detail)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _is_own(host: str) -> bool:
    try:
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return False
    if "." not in name and ":" not in name:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name.endswith(".localhost")
    return True


def _shown(host: str) -> str:
    return host if len(host) <= 100 else host[:100] + "…"


def _problem(status: int, title: str, detail: str) -> ProblemResponse:
    return ProblemResponse(Problem(type="about:blank", title=title, status=status, detail=detail))
