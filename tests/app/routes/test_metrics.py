"""Whoever runs the service sees what it does and where it hurts, in numbers whose names and labels stay as they are."""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice
from typing import Any, ClassVar

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from app.errors import UnfetchableURL
from app.routes.metrics import CONTENT_TYPE
from app.security.fetching import Fetcher
from app.settings import Settings
from tests.app.dummy import ColourEncoder
from tests.app.pictures import noise, plain
from tests.app.process import ROOT
from tests.app.running import add, opened

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def read(client: TestClient) -> Samples:
    answer = client.get("/metrics")
    assert (answer.status_code, answer.headers["content-type"]) == (200, CONTENT_TYPE)
    samples = [sample for family in text_string_to_metric_families(answer.text) for sample in family.samples]
    read = {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in samples}
    assert len(read) == len(samples), "a sample is there twice"
    return read


def value(samples: Samples, name: str, /, **labels: str) -> float:
    return samples.get((name, tuple(sorted(labels.items()))), 0)


@pytest.fixture
def grown(client: TestClient) -> Callable[..., float]:
    """By how much a counter has grown in this test: others count in the same process."""
    before = read(client)
    return lambda name, **labels: value(read(client), name, **labels) - value(before, name, **labels)


Grown = Callable[..., float]


def test_requests_are_counted_by_the_template_of_their_route(client: TestClient, grown: Grown) -> None:
    for number in range(3):
        add(client, noise(number), name=f"n{number}")
        client.get(f"/v1/images/n{number}")
        client.head(f"/v1/images/n{number}")
        client.get(f"/v1/images/n{number}/content")
    client.get("/v1/images/nobody")
    client.get("/static/app.js")
    client.get("/openapi.json")
    client.get("/nowhere/1")
    client.get("/nowhere/2")
    client.request("FOO", "/v1/images")
    for method, route, status, count in (
        ("POST", "/v1/images", "201", 3),
        ("GET", "/v1/images/{id}", "200", 3),
        ("HEAD", "/v1/images/{id}", "200", 3),
        ("GET", "/v1/images/{id}", "404", 1),
        ("GET", "/v1/images/{id}/content", "200", 3),
        ("GET", "/static", "200", 1),
        ("GET", "/openapi.json", "200", 1),
        ("GET", "none", "404", 2),
        ("other", "/v1/images", "405", 1),
    ):
        assert grown("parallax_http_requests_total", method=method, route=route, status=status) == count, (
            method,
            route,
        )
    assert grown("parallax_http_request_seconds_count", method="GET", route="/v1/images/{id}") == 4
    assert grown("parallax_http_request_seconds_sum", method="GET", route="/v1/images/{id}") > 0


def test_no_stranger_makes_series_without_end(client: TestClient) -> None:
    before = len(read(client))
    for number in range(50):
        client.get(f"/nowhere/{number}")
        client.request(f"M{number}", f"/v1/images/{number}")
        client.get(f"/static/{number}")
    assert len(read(client)) - before < 80  # two histograms and some counters, not 150 of them


def test_refused_and_failed_requests_are_counted_too(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(Settings(data=settings.data, demo=False, api_keys=["key"])) as client:
        client.headers["X-API-Key"] = "key"
        before = read(client)
        client.get("/v1/images", headers={"X-API-Key": "no"})
        monkeypatch.setattr("app.gallery.gallery.Gallery.page", None)
        client.get("/v1/images")
        after = read(client)
        for route, status in (("none", "401"), ("/v1/images", "500")):
            labels = {"method": "GET", "route": route, "status": status}
            name = "parallax_http_requests_total"
            assert value(after, name, **labels) - value(before, name, **labels) == 1


def test_searches_and_batches_are_timed_and_counted(client: TestClient, grown: Grown) -> None:
    client.post("/v1/images", files=[("file", noise(number)) for number in range(5)])
    for words in ("red", "green", "blue", "red"):
        client.get("/v1/search", params={"q": words})
    client.post("/v1/search", files={"file": plain("red")})
    assert grown("parallax_search_seconds_count") == 5
    assert grown("parallax_search_seconds_sum") > 0
    assert grown("parallax_batch_size_sum", kind="uploads") == 5
    assert grown("parallax_batch_size_sum", kind="texts") == grown("parallax_batch_size_count", kind="texts") == 3
    assert grown("parallax_batch_size_sum", kind="queries") == 1
    assert grown("parallax_encode_seconds_count", kind="texts") == 3
    assert (grown("parallax_text_cache_total", outcome="miss"), grown("parallax_text_cache_total", outcome="hit")) == (
        3,
        1,
    )


def test_the_size_of_the_gallery_and_of_its_index_is_told(client: TestClient) -> None:
    for number in range(4):
        add(client, noise(number), name=f"n{number}")
    client.delete("/v1/images/n0")
    samples = read(client)
    assert value(samples, "parallax_images") == value(samples, "parallax_index_vectors") == 3
    assert value(samples, "parallax_model_info", name="colours", fingerprint="c0105") == 1
    assert value(samples, "parallax_body_bytes") == 0
    assert value(samples, "process_open_fds") > 3
    assert value(samples, "process_resident_memory_bytes") > 1e6


def test_the_depth_of_a_queue_is_seen_while_it_is_there(settings: Settings) -> None:
    class Held(ColourEncoder):
        entered, released = threading.Event(), threading.Event()
        taken: ClassVar[list[int]] = []

        def encode_texts(self, texts: Any) -> Any:
            self.taken.append(len(texts))
            self.entered.set()
            self.released.wait(timeout=60)
            return super().encode_texts(texts)

    with opened(settings.model_copy(update={"queue": 4}), Held()) as client, ThreadPoolExecutor(30) as pool:
        before = read(client)
        try:
            asked = [pool.submit(client.get, "/v1/search?q=red") for _ in range(25)]
            assert Held.entered.wait(timeout=60)
            early = list(islice(as_completed(asked, timeout=60), 5))
            assert [one.result().status_code for one in early] == [429] * 5
            deadline = time.monotonic() + 60
            waiting = 16 - Held.taken[0]  # one text, or more that came at the same moment
            # A search that is worked on comes to the lane a moment later.
            while value(samples := read(client), "parallax_lane_depth", kind="texts") < waiting:
                assert time.monotonic() < deadline
        finally:
            Held.released.set()
        assert value(samples, "parallax_queue_depth", queue="searches") == 4
        assert value(samples, "parallax_queue_working", queue="searches") == 16
        assert value(samples, "parallax_lane_depth", kind="texts") == waiting
        assert value(samples, "parallax_queue_depth", queue="uploads") == 0
        name = "parallax_refused_total"
        labels = {"queue": "searches", "reason": "full"}
        assert value(samples, name, **labels) - value(before, name, **labels) == 5
        for one in asked:
            one.result()
        assert value(read(client), "parallax_queue_depth", queue="searches") == 0


def test_storage_errors_are_counted(client: TestClient, settings: Settings, grown: Grown) -> None:
    add(client, plain("red"), name="red")
    shutil.rmtree(settings.data / "originals")
    assert client.get("/v1/images/red/content").status_code == 500
    assert grown("parallax_storage_errors_total", kind="original") >= 1
    assert client.post("/v1/images", files={"file": plain("blue")}).status_code == 503
    assert grown("parallax_storage_errors_total", kind="fault") >= 1


def test_every_kind_of_storage_error_is_there_before_it_happens(client: TestClient) -> None:
    kinds = {dict(labels)["kind"] for name, labels in read(client) if name == "parallax_storage_errors_total"}
    assert kinds == {"full", "fault", "original", "index"}


def test_fetches_are_counted(client: TestClient, grown: Grown) -> None:
    with pytest.raises(UnfetchableURL):
        Fetcher(allowed=True, max_bytes=1000).fetch("http://127.0.0.1/")
    assert grown("parallax_fetches_total", outcome="failed") == 1


def test_metrics_are_there_while_the_service_starts(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from app import create_app

    loaded = threading.Event()

    def load(_: Settings) -> ColourEncoder:
        loaded.wait(timeout=60)
        return ColourEncoder()

    monkeypatch.setattr("app.startup.load_encoder", load)
    with TestClient(create_app(settings)) as client:
        try:
            samples = read(client)
            assert value(samples, "parallax_queue_depth", queue="searches") == 0
            assert not any(name == "parallax_images" for name, _ in samples)
        finally:
            loaded.set()


def test_the_page_about_reliability_names_every_metric(client: TestClient) -> None:
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    named = {name.removesuffix("_total") for name in re.findall(r"`(parallax_\w+)`", page)}
    families = {family.name for family in text_string_to_metric_families(client.get("/metrics").text)}
    assert named == {name for name in families if name.startswith("parallax_")}
