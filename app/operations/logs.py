"""The log: a line an event, for people or as JSON for programs, each with the id of the request that it belongs to."""

from __future__ import annotations

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

from app.settings import Settings

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Of the request that is being answered; it follows the work into other threads."""

Format = Literal["json", "console"]


def log_format(settings: Settings) -> Format:
    """The format in force: people sit at terminals."""
    if settings.log_format != "auto":
        return settings.log_format
    return "console" if sys.stderr.isatty() else "json"


def configure_logs(form: Format, stream: TextIO | None = None) -> None:
    """Write the log of this process, and nothing else, to stderr or another stream."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Console())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)  # libraries tell of every step, with addresses in it
    logging.getLogger("parallax").setLevel(logging.INFO)
    logging.captureWarnings(True)


def are_json() -> bool:
    """Whether the log of this process is for programs."""
    return any(isinstance(handler.formatter, _Json) for handler in logging.getLogger().handlers)


def fields(**values: Any) -> dict[str, Any]:
    """For the argument `extra` of a logging call: facts beside the message, under these names."""
    return {"fields": values}


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    facts: dict[str, Any] = getattr(record, "fields", {})
    return {"request_id": request_id.get(), **facts} if request_id.get() else facts


class _Json(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _rfc3339(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _Console(logging.Formatter):
    """Time, level, message, facts. What clients sent cannot begin a line of its own: control characters are escaped."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        facts = "".join(f" {name}={value}" for name, value in _fields(record).items() if value not in (None, ""))
        line = _escaped(f"{time} {record.levelname} {record.getMessage()}{facts}")
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _escaped(text: str) -> str:
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
