"""Every setting of the service, declared once: default, range and sentence. `serve --help` is made from it."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Self, get_args, get_origin

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.errors import InvalidRequest

PREFIX = "PARALLAX_"
SHIPPED_MODEL = Path(__file__).parent.parent / "model" / "pretrained" / "pictogram"


class Settings(BaseSettings):
    """Read from the environment (`PARALLAX_PORT=9000`) and from a file `.env`; arguments come first."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True)

    data: Path = Field(Path("data"), description="Folder that holds the catalog and the pictures.")
    model: Path = Field(SHIPPED_MODEL, description="Folder of the model that turns pictures and words into vectors.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    allow_open: bool = Field(False, description="Listen beyond this machine, though everybody may then read and write.")
    max_upload_mb: int = Field(25, ge=1, le=4096, description="Largest request body, in megabytes (10⁶ bytes).")
    max_pixels: int = Field(100_000_000, ge=1, description="Largest picture, in pixels.")
    queue: int = Field(128, ge=1, le=100_000, description="Requests that may wait; more are answered 429.")
    runtime: Literal["auto", "onnx", "torch"] = Field("auto", description="What runs the model.")
    threads: int = Field(0, ge=0, le=1024, description="Threads of the model; 0 is one for each core.")
    demo: bool = Field(True, description="Add the demo gallery at the first start.")

    @model_validator(mode="after")
    def _open_only_on_purpose(self) -> Self:
        if not self.allow_open and not _is_loopback(self.host):
            raise ValueError(
                f"{self.host} can be reached from other machines; everybody there could read, add and delete pictures."
                f" Set {PREFIX}ALLOW_OPEN=1 if that is what you want."
            )
        return self

    @property
    def max_upload_bytes(self) -> int:
        return self.max_upload_mb * 1_000_000


def read_settings(**arguments: Any) -> Settings:
    """The settings in force; arguments that are None are left to the environment. Raises InvalidRequest."""
    try:
        return Settings(**{name: value for name, value in arguments.items() if value is not None})
    except ValidationError as error:
        faults = [_fault(fault["loc"], fault["msg"]) for fault in error.errors()]
        raise InvalidRequest("; ".join(faults)) from None


def _fault(location: tuple[int | str, ...], message: str) -> str:
    sentence = message.removeprefix("Value error, ")
    return f"{PREFIX}{str(location[0]).upper()}: {sentence}" if location else sentence


def describe_settings() -> Iterator[tuple[str, str, str]]:
    """Every setting as (environment variable, default and range, sentence), in the order of declaration."""
    for name, field in Settings.model_fields.items():
        default = {SHIPPED_MODEL: "the shipped one", True: "1", False: "0"}.get(field.default, str(field.default))
        choices = [" or ".join(get_args(field.annotation))] if get_origin(field.annotation) is Literal else []
        least = [f"at least {limit.ge}" for limit in field.metadata if hasattr(limit, "ge")]
        most = [f"at most {limit.le}" for limit in field.metadata if hasattr(limit, "le")]
        yield PREFIX + name.upper(), ", ".join([default, *choices, *least, *most]), field.description or ""


def unknown_settings() -> list[str]:
    """Variables in the environment that look like settings and are none, such as misspelt ones."""
    known = {name for name, _, _ in describe_settings()}
    return sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
