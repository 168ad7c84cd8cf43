"""Every setting of the service, declared once: default, range and sentence. `serve --help` is made from it."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args, get_origin

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, NoDecode, SettingsConfigDict

from app.errors import InvalidRequest

PREFIX = "PARALLAX_"
SHIPPED_MODEL = Path(__file__).parent.parent / "model" / "pretrained" / "pictogram"


def _split(value: object) -> object:
    """ "a, b" → ["a", "b"]"""
    if not isinstance(value, str) or not value:
        return value or ()
    parts = [part for part in map(str.strip, value.split(",")) if part]
    if not parts:
        raise ValueError("there is no key in it; leave it out if none is meant")
    return parts


HASHED_KEY = re.compile("sha256:[0-9a-f]{64}")
"""A key may be given by its hash, so that whoever reads the settings cannot use it."""
SAFE_LENGTH = 16
Keys = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_split)]
"""In the environment: separated by commas. Secret, so that no log and no message of ours shows one."""


class Settings(BaseSettings):
    """Read from the environment (`PARALLAX_PORT=9000`) and from a file `.env`; arguments come first."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    data: Path = Field(Path("data"), description="Folder that holds the catalog and the pictures.")
    model: Path = Field(SHIPPED_MODEL, description="Folder of the model that turns pictures and words into vectors.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    api_keys: Keys = Field(
        (),
        description="Keys that may read and write, separated by commas; each the key itself, or sha256: and the hash of"
        " it. Without any keys everybody may do everything.",
    )
    read_keys: Keys = Field((), description="Keys that may only read, in the same way.")
    allow_open: bool = Field(
        False, description="Listen beyond this machine without keys: everybody may read and write."
    )
    max_upload_mb: int = Field(25, ge=1, le=4096, description="Largest request body, in megabytes (10⁶ bytes).")
    max_pixels: int = Field(100_000_000, ge=1, description="Largest picture, in pixels.")
    queue: int = Field(128, ge=1, le=100_000, description="Requests that may wait; more are answered 429.")
    fetch_urls: bool = Field(False, description="Fetch pictures that are given by their http(s) address.")
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="How the log looks; auto is console on a terminal, json elsewhere."
    )
    runtime: Literal["auto", "onnx", "torch"] = Field("auto", description="What runs the model.")
    threads: int = Field(0, ge=0, le=1024, description="Threads of the model; 0 is one for each core.")
    index: Literal["faiss"] = Field("faiss", description="What searches the vectors.")
    target_recall: float = Field(
        0.98,
        ge=0.5,
        le=1,
        description="Share of the ten nearest pictures that a search of a large collection has to find; 1 compares with"
        " every picture.",
    )
    demo: bool = Field(True, description="Add the demo gallery at the first start.")

    @model_validator(mode="after")
    def _open_only_on_purpose(self) -> Self:
        if not (self.allow_open or self.api_keys or self.read_keys or _is_loopback(self.host)):
            raise ValueError(
                f"{self.host} can be reached from other machines; everybody there could read, add and delete pictures."
                f" Set {PREFIX}API_KEYS, or {PREFIX}ALLOW_OPEN=1 if that is what you want."
            )
        return self

    @field_validator("api_keys", "read_keys")
    @classmethod
    def _usable(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for number, key in enumerate(keys, 1):
            if not re.fullmatch("[!-~]+", key.get_secret_value()):
                raise ValueError(f"key {number} cannot be sent: a key has only visible ASCII characters")
            if key.get_secret_value().startswith("sha256:") and not HASHED_KEY.fullmatch(key.get_secret_value()):
                raise ValueError(f"key {number} is no hash: after sha256: come 64 digits of 0-9 and a-f")
        return keys

    @model_validator(mode="after")
    def _one_meaning_each(self) -> Self:
        if {key.get_secret_value() for key in self.api_keys} & {key.get_secret_value() for key in self.read_keys}:
            raise ValueError(f"a key is in both {PREFIX}API_KEYS and {PREFIX}READ_KEYS")
        return self

    def doubts(self) -> Iterator[str]:
        """What is allowed, but perhaps not meant."""
        if not (self.api_keys or self.read_keys or _is_loopback(self.host)):
            yield f"there are no keys: whoever reaches {self.host} may read, add and delete pictures"
        if any(len(key.get_secret_value()) < SAFE_LENGTH for key in (*self.api_keys, *self.read_keys)):
            yield f"a key of less than {SAFE_LENGTH} characters can be guessed; `openssl rand -hex 16` makes a good one"

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
        special: dict[Any, str] = {SHIPPED_MODEL: "the shipped one", True: "1", False: "0", (): "none"}
        default = special.get(field.default, str(field.default))
        options = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
        choices = [" or ".join(options)] if options[1:] else []
        least = [f"at least {limit.ge}" for limit in field.metadata if hasattr(limit, "ge")]
        most = [f"at most {limit.le}" for limit in field.metadata if hasattr(limit, "le")]
        yield PREFIX + name.upper(), ", ".join([default, *choices, *least, *most]), field.description or ""


def unknown_settings() -> list[str]:
    """Names in the environment and in `.env` that look like settings and are none, such as misspelt ones."""
    known = {name for name, _, _ in describe_settings()}
    in_file = {name.upper() for name in DotEnvSettingsSource(Settings).env_vars}  # which are told apart by no case
    return sorted(name for name in {*os.environ, *in_file} if name.startswith(PREFIX) and name not in known)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
