"""Who looks for what happened finds it: a line for every request, under its id, that no client can forge."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from app.operations.logs import configure_logs, fields, log_format, request_id
from app.operations.progress import ProgressBar
from app.settings import Settings
from model.errors import BrokenPicture
from tests.app.pictures import plain
from tests.app.running import add, opened

log = logging.getLogger("parallax")


@pytest.fixture(autouse=True)
def afterwards() -> Iterator[None]:
    """The log goes where it went before."""
    root = logging.getLogger()
    handlers, level, own = root.handlers[:], root.level, log.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    log.setLevel(own)
    logging.captureWarnings(False)


@pytest.fixture
def lines() -> Callable[[], list[dict[str, Any]]]:
    """What has been written to the log since the last look, as JSON."""
    stream = io.StringIO()
    configure_logs("json", stream)

    def look() -> list[dict[str, Any]]:
        written = stream.getvalue()
        stream.seek(0)
        stream.truncate()
        return [json.loads(line) for line in written.splitlines()]

    return look


Lines = Callable[[], list[dict[str, Any]]]


def access(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if line["logger"] == "parallax.access"]


def test_a_json_log_is_one_object_a_line(lines: Lines) -> None:
    log.info("%s pictures", 7, extra=fields(place="Oslo"))
    try:
        raise ValueError("no")
    except ValueError:
        log.exception("a line\nand another")
    first, second = lines()
    assert first.keys() == {"time", "level", "logger", "message", "place"}
    assert (first["level"], first["message"], first["place"]) == ("info", "7 pictures", "Oslo")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["time"])
    assert second["message"] == "a line\nand another"
    assert "ValueError: no" in second["exception"]


def test_every_request_has_a_line_with_what_became_of_it(client: TestClient, lines: Lines) -> None:
    image = add(client, plain("red"))
    content = client.get(f"/v1/images/{image['id']}/content?v=1")
    client.get("/v1/images/no%20body")
    upload, read, missing = access(lines())
    assert (upload["method"], upload["path"], upload["status"], upload["level"]) == ("POST", "/v1/images", 201, "info")
    assert (read["path"], read["bytes"]) == (f"/v1/images/{image['id']}/content", len(content.content))
    assert (missing["path"], missing["status"]) == ("/v1/images/no%20body", 404)
    assert read["request_id"] == content.headers["x-request-id"]
    assert len({line["request_id"] for line in (upload, read, missing)}) == 3
    assert all(line["took_ms"] > 0 and line["client"] == "testclient" for line in (upload, read, missing))


def test_the_id_of_a_proxy_goes_with_the_request_into_every_thread(
    client: TestClient, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def search(*_: object, **__: object) -> None:
        log.info("in a worker")
        raise RuntimeError("no")

    monkeypatch.setattr("app.gallery.gallery.Gallery.search", search)
    answer = client.get("/v1/search?q=red", headers={"X-Request-ID": "from.a-proxy_7"})
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "from.a-proxy_7"
    worker, failure, line = lines()
    assert worker["message"] == "in a worker"
    assert "RuntimeError: no" in failure["exception"]
    assert {one["request_id"] for one in (worker, failure, line)} == {"from.a-proxy_7"}
    assert line["level"] == "warning"


def test_the_id_of_an_upload_goes_with_every_picture_into_the_threads_that_decode(
    client: TestClient, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        log.info("in a decode thread")
        raise BrokenPicture("no")

    monkeypatch.setattr("app.gallery.gallery.decode", refuse)
    uploads = [("file", (f"{colour}.png", plain(colour))) for colour in ("red", "green", "blue")]
    client.post("/v1/images", files=uploads, headers={"X-Request-ID": "from.a-proxy_7"})
    *decoding, access_line = lines()
    assert [line["message"] for line in decoding] == ["in a decode thread"] * 3
    assert {line.get("request_id") for line in (*decoding, access_line)} == {"from.a-proxy_7"}


def test_requests_at_the_same_time_keep_their_ids(client: TestClient, lines: Lines) -> None:
    def ask(number: int) -> str:
        return str(client.get(f"/v1/images/{number}", headers={"X-Request-ID": f"n{number}"}).headers["x-request-id"])

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(32))) == [f"n{number}" for number in range(32)]
    assert {(line["path"], line["request_id"]) for line in access(lines())} == {
        (f"/v1/images/{number}", f"n{number}") for number in range(32)
    }
    assert request_id.get() == ""


def test_what_somebody_searched_for_and_every_key_stay_out_of_the_log(settings: Settings, lines: Lines) -> None:
    key = "a-very-secret-key"
    with opened(Settings(data=settings.data, demo=False, api_keys=[key])) as client:
        headers = {"Authorization": f"Bearer {key}"}
        client.get("/v1/search?q=my+illness", headers=headers)
        client.post("/v1/search", json={"text": "my illness"}, headers=headers)
        client.get("/v1/search?q=my+illness", headers={"X-API-Key": "another-secret"})
    written = lines()
    assert not [line for line in written if re.search("illness|secret", json.dumps(line))]
    first, second, refused = access(written)
    assert first["key"] == second["key"]
    assert re.fullmatch("[0-9a-f]{8}", first["key"])
    assert (refused["status"], refused["key"]) == (401, None)


def test_those_who_ask_all_the_time_are_not_in_the_log_as_long_as_all_is_well(
    client: TestClient, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in ("/livez", "/readyz", "/healthz", "/static/app.js"):
        client.get(path)
    assert lines() == []
    client.get("/static/nothing.js")
    assert [line["status"] for line in lines()] == [404]


def test_a_console_log_is_for_people() -> None:
    stream = io.StringIO()
    configure_logs("console", stream)
    log.warning("%s pictures", 7, extra=fields(place="Oslo", empty=None))
    assert re.fullmatch(r"\d\d:\d\d:\d\d WARNING 7 pictures place=Oslo\n", stream.getvalue())


@given(st.text())
def test_no_text_begins_a_line_of_its_own(text: str) -> None:
    """What clients send is in the log; it must not look like a line that the service wrote."""
    for handler in _handlers():
        record = logging.LogRecord("parallax", logging.INFO, "", 0, "%s", (text,), None)
        record.fields = {"path": text}
        assert len(handler.format(record).splitlines()) == 1


def _handlers() -> list[logging.Handler]:
    found = []
    for form in ("json", "console"):
        configure_logs(form)  # type: ignore[arg-type]
        found += logging.getLogger().handlers
    return found


@pytest.mark.parametrize(("terminal", "expected"), [(True, "console"), (False, "json")])
def test_a_terminal_gets_a_log_for_people(monkeypatch: pytest.MonkeyPatch, terminal: bool, expected: str) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal, raising=False)
    assert log_format(Settings()) == expected
    assert log_format(Settings(log_format="json")) == "json"
    assert log_format(Settings(log_format="console")) == "console"


def test_progress_does_not_mix_into_a_log_for_programs(lines: Lines) -> None:
    with ProgressBar("demo gallery") as bar:
        for done in range(100):
            bar(done, 100)
        bar(100, 100)
    (line,) = lines()  # the next one after five seconds
    assert (line["message"], line["done"], line["total"]) == ("demo gallery: 0 of 100 pictures", 0, 100)
