"""The page in a real Chromium, against the real service with a small encoder, in a process of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

from tests.app.pictures import noise, plain
from tests.app.process import running

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = os.environ.get("PARALLAX_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), "/usr/bin/chromium")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NOISE = 60  # more than the page asks for at a time
EVIL = '<img src=x onerror="document.title=`owned`">'

Visit = Callable[..., Page]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


class Service:
    """Where the service is, and what the tests put into it."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.origin = str(client.base_url).rstrip("/")

    def add(self, picture: bytes, name: str, **metadata: Any) -> None:
        data = {"id": name, "metadata": json.dumps(metadata)}
        self.client.post("/v1/images", files={"file": picture}, data=data).raise_for_status()


@contextmanager
def serving(data: Path) -> Iterator[Service]:
    with running(data) as (process, client):
        process.wait_for("ready:")
        yield Service(client)


@pytest.fixture(scope="package")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with some pictures, for tests that only look."""
    with serving(tmp_path_factory.mktemp("gallery")) as service:
        for seed in range(NOISE):
            service.add(noise(seed), f"noise-{seed}", label=f"noise {seed}")
        for colour in ("red", "green", "blue", "yellow", "black"):
            service.add(plain(colour, (320, 240)), colour, label=f"a {colour} wall", tags=[colour, "wall"])
        service.add(
            plain("white"), "evil", label=EVIL, tags=[EVIL], source="javascript:document.title='owned'", **{EVIL: EVIL}
        )
        yield service


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Service]:
    """A service of one's own, without pictures."""
    with serving(tmp_path / "data") as service:
        yield service


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


class Watch:
    """What a page must not do: complain, or ask another host for anything."""

    def __init__(self) -> None:
        self.origin = ""
        self._complaints: list[str] = []
        self._asked: list[str] = []
        self.expected = ""
        """Pattern of complaints that the test means to provoke: Chromium logs each failed request as an error."""

    def attach(self, page: Page) -> None:
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self._complaints.append(str(error)))
        page.on("request", self._on_request)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self._complaints.append(message.text)

    def _on_request(self, request: Request) -> None:
        self._asked.append(re.sub("//[^/@]*@", "//", request.url))

    def check(self) -> None:
        assert [text for text in self._complaints if not (self.expected and re.search(self.expected, text))] == []
        ours = (self.origin + "/", "data:", "blob:" + self.origin + "/")
        assert [url for url in self._asked if not url.startswith(ours)] == []


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def visit(browser: Browser, watch: Watch) -> Iterator[Visit]:
    """visit(service, "/?q=red", viewport=…) opens a page that is watched, like a new visitor with these options."""
    contexts = []

    def open_page(service: Service, path: str = "/", *, prepare: Callable[[Page], Any] = id, **options: Any) -> Page:
        context = browser.new_context(base_url=service.origin, **options)
        context.set_default_timeout(15_000)
        contexts.append(context)
        page = context.new_page()
        watch.origin = service.origin
        watch.attach(page)
        prepare(page)
        page.goto(path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    watch.check()
