"""A service that asks for a key is as usable as an open one, for whoever has the key."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from unittest.mock import patch

import pytest
from playwright.sync_api import Page, expect

from tests.app.pictures import noise, plain
from tests.browser.conftest import Service, Visit, Watch, serving
from tests.browser.gestures import choose, picture_file

WRITER, READER = "open-sesame", "only-looking"
BLOB = re.compile("^blob:")
NATURAL = "image => image.decode().then(() => image.naturalWidth)"


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with ExitStack() as stack:
        with patch.dict(os.environ, PARALLAX_API_KEYS=WRITER, PARALLAX_READ_KEYS=READER):
            service = stack.enter_context(serving(tmp_path_factory.mktemp("closed")))
        service.client.headers["X-API-Key"] = WRITER
        for colour in ("red", "green"):
            service.add(plain(colour, (320, 240)), colour, label=f"a {colour} wall")
        yield service


def unlock(page: Page, key: str) -> None:
    page.get_by_label("This gallery asks for a key").fill(key)
    page.get_by_role("button", name="Open", exact=True).click()


def test_the_page_asks_for_the_key_until_it_is_right(visit: Visit, closed: Service, watch: Watch) -> None:
    watch.expected = "status of 401"
    page = visit(closed, "/?q=red")
    field = page.get_by_label("This gallery asks for a key")
    expect(field).to_be_focused()
    expect(field).to_have_attribute("type", "password")
    expect(page.locator(".tile")).to_have_count(0)
    expect(page.locator("#problem")).to_be_hidden()
    unlock(page, "open-barley")
    expect(page.get_by_text("This service does not know this key.")).to_be_visible()
    expect(field).to_have_value("")
    unlock(page, WRITER)
    expect(page.locator(".tile").first.get_by_role("img")).to_have_attribute("alt", "a red wall")
    expect(field).to_be_hidden()
    page.reload()
    expect(page.locator(".tile")).to_have_count(2)  # the browser has kept it
    page.get_by_role("button", name="Forget the key").click()
    expect(field).to_be_visible()
    expect(page.locator(".tile")).to_have_count(0)


def test_the_page_works_where_its_address_has_a_key_for_other_programs(
    visit: Visit, closed: Service, watch: Watch
) -> None:
    """Browsers drop http://user:KEY@ from what they show, and fetch nothing relative to it."""
    watch.expected = "status of 401"
    page = visit(closed, closed.origin.replace("http://", f"http://user:{WRITER}@"))
    unlock(page, WRITER)
    expect(page.locator(".tile")).to_have_count(2)
    expect(page.locator(".tile").first.get_by_role("img")).to_have_attribute("src", BLOB)


def test_with_a_key_pictures_are_seen_and_added(visit: Visit, closed: Service, watch: Watch) -> None:
    watch.expected = "status of 401"
    page = visit(closed)
    unlock(page, WRITER)
    expect(page.locator(".tile")).to_have_count(2)
    image = page.locator(".tile").first.get_by_role("img")
    expect(image).to_have_attribute("src", BLOB)
    assert image.evaluate(NATURAL) == 256
    page.get_by_role("link", name="Details of a red wall").click()
    dialog = page.get_by_role("dialog", name="a red wall")
    original = dialog.get_by_role("link", name="Open original")
    expect(original).to_have_attribute("href", BLOB)
    assert dialog.get_by_role("img").evaluate(NATURAL) == 320
    with page.context.expect_page() as opened:
        original.click()
    assert opened.value.evaluate("document.images[0].naturalWidth") == 320
    page.keyboard.press("Escape")
    choose(page, "Add pictures", [picture_file(noise(1), "mine.png")])
    expect(page.get_by_role("region", name="Adding pictures")).to_contain_text("1 picture added")
    expect(page.locator(".tile")).to_have_count(3)
    choose(page, "Search with a picture", [picture_file(plain("green"), "green.png")])
    expect(page.locator(".tile").first.get_by_role("img")).to_have_attribute("alt", "a green wall")
    expect(page.locator("#chip img")).to_be_visible()


def test_a_key_for_reading_says_that_it_cannot_add(visit: Visit, closed: Service, watch: Watch) -> None:
    watch.expected = "status of 40[13]"
    page = visit(closed)
    unlock(page, READER)
    expect(page.locator(".tile").first).to_be_visible()
    choose(page, "Add pictures", [picture_file(noise(2), "mine.png")])
    tray = page.get_by_role("region", name="Adding pictures")
    expect(tray.get_by_role("listitem")).to_have_text(["mine.png This key may read, but not write."])


def test_an_open_service_asks_for_no_key(visit: Visit, gallery: Service) -> None:
    page = visit(gallery)
    expect(page.locator(".tile")).to_have_count(48)
    expect(page.locator("#locked")).to_be_hidden()
    expect(page.get_by_role("button", name="Forget the key")).to_be_hidden()
    assert not page.locator(".tile").first.get_by_role("img").get_attribute("src").startswith("blob:")  # type: ignore[union-attr]
