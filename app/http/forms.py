"""Forms are read as UTF-8, whatever they call themselves, and into memory."""

from __future__ import annotations

from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers
from starlette.formparsers import MultiPartParser
from starlette.types import ASGIApp, Receive, Scope, Send

from app.http.problems import ProblemResponse
from app.schemas import Problem

# No limit: beyond one, a file in a form goes to the folder of temporary files, whose disk may be full or read-only, and
# takes a file descriptor. `admission/bodies.py` bounds what all bodies take together.
MultiPartParser.spool_max_size = 0


class FormsInUTF8:
    """ASGI middleware: refuses a form that names another charset.

    The parser of forms takes any codec of Python's for one, those too that fail in ways it does not expect or that make
    surrogates, which no answer can hold.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            kind, parameters = parse_options_header(Headers(scope=scope).get("content-type", ""))
            charset = parameters.get(b"charset", b"utf-8").decode("latin-1")
            if kind == b"multipart/form-data" and charset.lower() not in ("utf-8", "utf8"):
                detail = f"A form is sent in UTF-8 here, not in {charset[:40]}. Leave out the charset."
                problem = Problem(type="about:blank", title="Unsupported Media Type", status=415, detail=detail)
                await ProblemResponse(problem)(scope, receive, send)
                return
        await self._app(scope, receive, send)
