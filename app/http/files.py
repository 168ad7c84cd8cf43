"""Files as answers: whole, or the part that was asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import BinaryIO

from starlette.responses import FileResponse
from starlette.types import Message, Receive, Scope, Send

from app.http.problems import ProblemResponse
from app.schemas import Problem


class File(FileResponse):
    """Starlette's, which says in plain text what is wrong with a `Range`. Needs `stat_result`."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        status = 0

        async def send_unless_refused(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            if status not in (400, 416):
                await send(message)

        await super().__call__(scope, receive, send_unless_refused)
        if status == 400:  # a Range that means nothing is ignored (RFC 9110, 14.2)
            await super().__call__(without_range(scope), receive, send)
        elif status == 416:
            await self._beyond_the_end()(scope, receive, send)

    def _beyond_the_end(self) -> ProblemResponse:
        assert self.stat_result is not None
        size = self.stat_result.st_size
        detail = f"The part that was asked for is not in the file, which has {size:,} bytes."
        problem = Problem(type="about:blank", title="Range Not Satisfiable", status=416, detail=detail)
        return ProblemResponse(problem, {"Content-Range": f"bytes */{size}"})


class OpenedFile(File):
    """A file that is open already: what has its name by then, if anything, makes no difference."""

    def __init__(self, file: BinaryIO, headers: Mapping[str, str], media_type: str) -> None:
        path = f"/dev/fd/{file.fileno()}"
        super().__init__(path, headers=headers, media_type=media_type, stat_result=os.fstat(file.fileno()))
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_from_one(message: Message) -> None:
            if message["type"] == "http.response.body":
                self._file.close()  # by now it is open a second time; a slow client would hold both
            await send(message)

        with self._file:
            await super().__call__(scope, receive, send_from_one)


def without_range(scope: Scope) -> Scope:
    """The same request, for all of the file."""
    return {**scope, "headers": [(name, value) for name, value in scope["headers"] if name.lower() != b"range"]}
