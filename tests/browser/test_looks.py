"""The page on a phone, in the dark, under the keyboard and for a screen reader."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

import app
from tests.browser.conftest import EVIL, Service, Visit

PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
SMALL_PHONE = PHONE | {"viewport": {"width": 320, "height": 568}}
VIEWS = ["/", "/?q=red", "/?like=evil", "/?view=evil", "/?q=" + "wordwithoutend" * 20]

# WCAG 2.2: https://www.w3.org/TR/WCAG22/#dfn-relative-luminance
LUMINANCE = """(selector, property) => {
    const paint = document.createElement("canvas").getContext("2d");
    paint.fillStyle = getComputedStyle(document.querySelector(selector))[property];
    paint.fillRect(0, 0, 1, 1);
    const linear = [...paint.getImageData(0, 0, 1, 1).data].slice(0, 3).map(
        value => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
}"""


def luminance(page: Page, selector: str, kind: str) -> float:
    value = page.evaluate(f"([selector, property]) => ({LUMINANCE})(selector, property)", [selector, kind])
    assert isinstance(value, int | float)
    return value


def settled(page: Page) -> None:
    expect(page.locator("#grid")).to_have_attribute("aria-busy", "false")
    if "view=" in page.url:
        expect(page.get_by_role("dialog")).to_be_visible()


@pytest.mark.parametrize("phone", [PHONE, SMALL_PHONE], ids=["390", "320"])
@pytest.mark.parametrize("view", VIEWS)
def test_nothing_is_wider_than_a_phone(visit: Visit, gallery: Service, view: str, phone: dict[str, Any]) -> None:
    page = visit(gallery, view, **phone)
    settled(page)
    assert page.evaluate("document.documentElement.scrollWidth") == phone["viewport"]["width"]
    wide = "all => all.filter(part => part.getBoundingClientRect().right > innerWidth + .5).map(part => part.outerHTML)"
    assert page.locator("body :visible:not(.sheet *)").evaluate_all(wide) == []
    dialog = page.locator("#detail")
    assert dialog.evaluate("dialog => dialog.scrollWidth <= dialog.clientWidth || !dialog.open")


def test_a_finger_reaches_both_uses_of_a_picture(visit: Visit, gallery: Service) -> None:
    page = visit(gallery, "/?q=red", **PHONE)
    page.get_by_role("link", name="Details of a red wall").tap()
    dialog = page.get_by_role("dialog", name="a red wall")
    dialog.get_by_role("button", name="Close").tap()
    expect(dialog).to_be_hidden()
    page.locator(".tile").first.get_by_title("More like this").tap()
    expect(page.get_by_role("heading", name="More like “a red wall”")).to_be_visible()


PRIMARY = ("#detail-like", "#add-first", "#locked .button")
"""The buttons that stand out."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_follow_the_scheme_and_can_be_read(visit: Visit, gallery: Service, scheme: str) -> None:
    page = visit(gallery, "/?q=red&view=red", color_scheme=scheme)
    settled(page)
    for text, ground in [
        ("body", "html"),
        ("#q", "#form"),
        ("#status", "html"),
        (".score", "html"),
        ("#add", "#add"),
        ("#detail-name", "#detail"),
        ("#detail dt", "#detail"),
        *[(button, button) for button in PRIMARY],
        ("#locked p", "html"),
        ("footer", "html"),
    ]:
        behind, before = luminance(page, ground, "backgroundColor"), luminance(page, text, "color")
        if ground not in PRIMARY:
            assert behind < 0.03 if scheme == "dark" else behind > 0.8, ground
        lighter, darker = max(behind, before), min(behind, before)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, text


def test_the_keyboard_does_everything(visit: Visit, gallery: Service) -> None:
    page = visit(gallery)
    settled(page)
    page.keyboard.press("/")
    box = page.get_by_role("searchbox", name="Search pictures")
    expect(box).to_be_focused()
    page.keyboard.type("red")
    page.keyboard.press("Enter")
    first = page.locator(".tile").first
    expect(first).to_have_attribute("data-id", "red")
    for name in ("Clear the search", "Search with a picture"):
        page.keyboard.press("Tab")
        expect(page.get_by_role("button", name=name)).to_be_focused()
    page.keyboard.press("Tab")
    expect(first.locator(".picture")).to_be_focused()
    assert first.locator(".picture").evaluate("link => getComputedStyle(link).outlineStyle") == "solid"
    page.keyboard.press("Tab")
    details = page.get_by_role("link", name="Details of a red wall")
    expect(details).to_be_focused()
    expect(details).to_have_css("opacity", "1")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="a red wall")).to_be_visible()
    page.keyboard.press("Escape")
    expect(details).to_be_focused()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    heading = page.get_by_role("heading", name="More like “a red wall”")
    expect(heading).to_be_focused()  # not lost with the picture that was pressed
    page.keyboard.press("Tab")
    expect(page.locator(".tile").first.locator(".picture")).to_be_focused()


@pytest.mark.parametrize("view", ["/?q=red", "/?view=red"])
def test_everything_has_a_name_and_news_are_announced(visit: Visit, gallery: Service, view: str) -> None:
    page = visit(gallery, view)
    settled(page)
    assert page.locator("main img:not([alt]), main img[alt='']").count() == 0
    for role in ("link", "button", "searchbox", "img", "progressbar"):
        nameless = page.get_by_role(role, name=re.compile("^$"))
        assert nameless.evaluate_all("all => all.map(part => part.outerHTML)") == []
    assert page.locator("#status").get_attribute("role") == "status"
    assert page.locator("html").get_attribute("lang") == "en"


def test_nothing_moves_while_pictures_come_in(visit: Visit, gallery: Service) -> None:
    observe = """addEventListener("DOMContentLoaded", () => { window.shifts = [];
        new PerformanceObserver(list => shifts.push(...list.getEntries().map(entry => entry.value)))
            .observe({ type: "layout-shift", buffered: true }); })"""
    for view in ("/", "/?q=red"):
        page = visit(gallery, view, prepare=lambda page: page.add_init_script(observe))
        settled(page)
        images = page.locator(".tile img").evaluate_all(
            "all => Promise.all(all.slice(0, 7).map(image => image.decode())).then(() => all.map(image =>"
            " [image.loading, image.width > 0, image.hasAttribute('width'), image.hasAttribute('height')]))"
        )
        assert images == [["lazy", True, True, True]] * 48
        page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert sum(page.evaluate("shifts")) < 0.01


def test_motion_can_be_declined(visit: Visit, gallery: Service) -> None:
    page = visit(gallery, "/?q=red", reduced_motion="reduce")
    settled(page)
    moving = "all => all.filter(part => parseFloat(getComputedStyle(part).transitionDuration) > 0).length"
    assert page.locator("body *").evaluate_all(moving) == 0


def test_metadata_are_text_whatever_they_say(visit: Visit, gallery: Service) -> None:
    for view in ("/", "/?q=white", "/?like=evil", "/?view=evil"):
        page = visit(gallery, view)
        settled(page)
        assert "owned" not in page.title()
        assert page.locator("img[src=x], [onerror]").count() == 0
        assert page.locator("a[href^='javascript:']").count() == 0
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading")).to_have_text(EVIL)
    expect(dialog.get_by_role("listitem")).to_have_text([EVIL])
    expect(dialog).to_contain_text("javascript:document.title='owned'")
    dialog.get_by_role("link", name=EVIL).click()
    expect(page.get_by_role("heading", name=f"Nearest to “{EVIL}”")).to_be_visible()
    assert "owned" in page.title()  # as words that were searched
    assert page.locator("img[src=x]").count() == 0


def test_the_page_is_small() -> None:
    files = [path for path in (Path(app.__file__).parent / "web").iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 55_000
