"""The main job: words or a picture in, the right pictures out."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.app.pictures import plain
from tests.browser.conftest import Service, Visit, Watch
from tests.browser.gestures import choose, drag, paste, picture_file


def box(page: Page) -> Any:
    return page.get_by_role("searchbox", name="Search pictures")


def expect_first(page: Page, name: str) -> None:
    expect(page.locator(".tile").first.get_by_role("img")).to_have_attribute("alt", name)


def test_typing_finds_the_right_picture_first(visit: Visit, gallery: Service) -> None:
    page = visit(gallery)
    box(page).press_sequentially("red")
    expect_first(page, "a red wall")
    expect(page.get_by_role("heading", name="Nearest to “red”")).to_be_visible()
    expect(page.locator("#status")).to_have_text(re.compile(r"^48 of 66, nearest first · \d+ ms$"))
    score = page.locator(".tile .score").first
    expect(score).to_have_text("100%")
    expect(score).to_have_attribute("title", re.compile("Relevance; .* 1.000"))
    expect(page).to_have_url("/?q=red")
    expect(page).to_have_title("red – Parallax")
    image = page.locator(".tile").first.get_by_role("img")
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 256


def test_enter_searches_at_once(visit: Visit, gallery: Service) -> None:
    page = visit(gallery)
    expect(page.locator(".tile")).to_have_count(48)
    page.clock.install()
    page.clock.pause_at(4e9)  # now no pause in typing ever ends
    box(page).fill("blue")
    box(page).press("Enter")
    expect_first(page, "a blue wall")


def test_a_late_answer_to_an_earlier_question_is_not_shown(visit: Visit, gallery: Service) -> None:
    held: list[Route] = []

    def hold_red(route: Route) -> None:
        if json.loads(route.request.post_data or "")["text"] == "red":
            held.append(route)
        else:
            route.continue_()

    page = visit(gallery)
    page.route("**/v1/search", hold_red)
    with page.expect_request("**/v1/search"):
        box(page).fill("red")
    with page.expect_event("requestfailed") as dropped:
        box(page).fill("green")
    expect_first(page, "a green wall")
    assert dropped.value == held[0].request
    expect(page.locator("#grid")).to_have_attribute("aria-busy", "false")


def test_no_more_is_offered_of_a_search_that_is_over(visit: Visit, gallery: Service) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page = visit(gallery, "/?q=red")
    more = page.get_by_role("button", name="Show more")
    expect(more).to_be_visible()
    page.route("**/v1/search", hold)
    with page.expect_request("**/v1/search"):
        box(page).fill("green")
    expect(more).to_be_hidden()
    held[0].continue_()
    expect_first(page, "a green wall")
    expect(more).to_be_visible()


def test_what_cannot_be_read_is_not_called_a_broken_service(visit: Visit, gallery: Service) -> None:
    """A folder that is dropped, or a file that has been moved since."""
    refuse = "Blob.prototype.arrayBuffer = () => Promise.reject(new DOMException('', 'NotFoundError'))"
    page = visit(gallery, prepare=lambda page: page.add_init_script(refuse))
    drag(page, [picture_file(plain("red"), "holiday")])
    expect(page.get_by_role("heading", name="This cannot be read")).to_be_visible()
    expect(page.get_by_text("drop the pictures that are in it")).to_be_visible()


def test_a_picture_that_is_open_makes_way_for_one_that_is_dragged_in(visit: Visit, gallery: Service) -> None:
    page = visit(gallery, "/?q=red&view=red")
    dialog = page.get_by_role("dialog", name="a red wall")
    expect(dialog).to_be_visible()
    drag(page, [picture_file(plain("red"))], onto="[data-zone=add]", let_go=False)
    expect(dialog).to_be_hidden()
    expect(page.get_by_text("Search with it")).to_be_visible()


@pytest.mark.parametrize("way", ["choose", "drop", "drop on a place", "paste", "paste into the box"])
def test_a_picture_finds_its_like(visit: Visit, gallery: Service, way: str) -> None:
    page = visit(gallery)
    expect(page.locator(".tile")).to_have_count(48)
    file = picture_file(plain("yellow", (90, 70), "JPEG"), "sunny.jpg", "image/jpeg")
    if way == "choose":
        choose(page, "Search with a picture", [file])
    elif way.startswith("drop"):
        drag(page, [file], onto="body" if way == "drop" else "[data-zone=search]")
    else:
        if way == "paste into the box":
            box(page).focus()
        paste(page, [file])
    expect_first(page, "a yellow wall")
    chip = page.locator("#chip")
    expect(chip).to_contain_text("sunny.jpg")
    assert chip.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 90
    expect(page.locator("#drop")).to_be_hidden()
    page.get_by_role("button", name="Remove the picture").click()
    expect(page.get_by_role("heading", name="Newest pictures")).to_be_visible()
    expect(chip).to_be_hidden()
    page.go_back()
    expect_first(page, "a yellow wall")
    expect(chip).to_contain_text("sunny.jpg")


def test_dragging_offers_both_uses_of_a_picture(visit: Visit, gallery: Service) -> None:
    page = visit(gallery)
    drag(page, [picture_file(plain("red"))], onto="[data-zone=add]", let_go=False)
    expect(page.get_by_text("Search with it")).to_be_visible()
    expect(page.locator("[data-zone=add]")).to_have_class("zone over")
    page.dispatch_event("body", "dragleave")
    expect(page.locator("#drop")).to_be_hidden()


def test_pasted_text_stays_text(visit: Visit, gallery: Service) -> None:
    page = visit(gallery)
    box(page).focus()
    page.evaluate("navigator.clipboard && document.execCommand('insertText', false, 'green')")
    expect_first(page, "a green wall")


def test_text_with_a_picture_of_it_is_pasted_as_text_where_text_is_written(visit: Visit, gallery: Service) -> None:
    """As office programs copy it."""
    page = visit(gallery)
    expect(page.locator(".tile")).to_have_count(48)
    cells = picture_file(plain("white"), "cells.png")
    box(page).focus()
    assert paste(page, [cells], "green")
    expect(page.locator("#chip")).to_be_hidden()
    box(page).blur()
    assert not paste(page, [cells], "green")
    expect(page.locator("#chip")).to_contain_text("cells.png")
    expect(page.get_by_role("heading", name="More like your picture")).to_be_visible()


def test_more_like_this(visit: Visit, gallery: Service) -> None:
    page = visit(gallery, "/?q=red")
    page.locator(".tile", has_text="a red wall").get_by_title("More like this").click()
    expect(page).to_have_url("/?like=red")
    expect(page.get_by_role("heading", name="More like “a red wall”")).to_be_visible()
    expect(page.locator("#chip")).to_contain_text("a red wall")
    expect(page.locator(".tile")).to_have_count(47)
    expect(page.locator(".tile[data-id=red]")).to_have_count(0)  # that would be no news
    expect(box(page)).to_have_value("")
    box(page).fill("blue")
    expect_first(page, "a blue wall")
    expect(page.locator("#chip")).to_be_hidden()


def test_back_and_forward_go_through_what_was_seen(visit: Visit, gallery: Service) -> None:
    page = visit(gallery)
    for words in ("r", "re", "red"):  # a search after each letter, and all together one step back
        box(page).press(words[-1])
        expect(page.get_by_role("heading", name=f"Nearest to “{words}”")).to_be_visible()
    expect_first(page, "a red wall")
    box(page).press("Enter")
    box(page).fill("green")
    expect_first(page, "a green wall")
    tile = page.locator(".tile").nth(40)
    tile.scroll_into_view_if_needed()
    depth = page.evaluate("scrollY")
    assert depth > 0
    tile.get_by_title("More like this").click()
    expect(page).to_have_url(re.compile("like="))
    expect(page.get_by_role("heading", name="More like")).to_be_visible()
    assert page.evaluate("scrollY") == 0
    page.go_back()
    expect(box(page)).to_have_value("green")
    expect_first(page, "a green wall")
    assert page.evaluate("scrollY") == depth
    page.go_back()
    expect(box(page)).to_have_value("red")
    expect_first(page, "a red wall")
    page.go_back()
    expect(box(page)).to_have_value("")
    expect(page.get_by_role("heading", name="Newest pictures")).to_be_visible()
    page.go_forward()
    expect_first(page, "a red wall")


def test_an_address_can_be_shared_and_reloaded(visit: Visit, gallery: Service) -> None:
    page = visit(gallery, "/?q=blue")
    expect(box(page)).to_have_value("blue")
    expect_first(page, "a blue wall")
    page.reload()
    expect_first(page, "a blue wall")
    page.goto("/?like=blue")
    expect(page.locator("#chip")).to_contain_text("a blue wall")
    expect(page.get_by_role("heading", name="More like “a blue wall”")).to_be_visible()


def test_clearing_leads_back_to_the_start(visit: Visit, gallery: Service) -> None:
    page = visit(gallery, "/?q=blue")
    expect_first(page, "a blue wall")
    page.get_by_role("button", name="Clear the search").click()
    expect(box(page)).to_have_value("")
    expect(box(page)).to_be_focused()
    expect(page.get_by_role("heading", name="Newest pictures")).to_be_visible()
    expect(page).to_have_url("/")


def test_a_bad_picture_is_answered_with_the_sentence_of_the_service(
    visit: Visit, gallery: Service, watch: Watch
) -> None:
    watch.expected = r"status of 4\d\d"
    words = b"these are words and no picture"
    sentence = gallery.client.post("/v1/search", files={"file": words}).json()["detail"]
    page = visit(gallery)
    choose(page, "Search with a picture", [picture_file(words, "words.png")])
    expect(page.get_by_role("alert")).to_contain_text(sentence)
    expect(page.locator(".tile")).to_have_count(0)
    expect(page.get_by_role("button", name="Try again")).to_be_hidden()  # it would fail the same way
    page.get_by_role("link", name="See the newest pictures").click()
    expect(page.locator(".tile")).to_have_count(48)
    expect(page.get_by_role("alert")).to_be_hidden()


def test_an_address_of_an_unknown_picture_says_so(visit: Visit, gallery: Service, watch: Watch) -> None:
    watch.expected = "status of 404"
    sentence = gallery.client.get("/v1/images/nobody").json()["detail"]
    page = visit(gallery, "/?like=nobody")
    expect(page.get_by_role("alert")).to_contain_text(sentence)
    page.goto("/?view=nobody")
    expect(page.get_by_role("alert")).to_contain_text(sentence)
    expect(page.locator(".tile")).to_have_count(48)


def test_a_lost_service_is_reported_and_can_be_tried_again(visit: Visit, gallery: Service, watch: Watch) -> None:
    watch.expected = "ERR_FAILED"
    page = visit(gallery)
    expect(page.locator(".tile")).to_have_count(48)
    page.route("**/v1/search", lambda route: route.abort())
    box(page).fill("red")
    expect(page.get_by_role("alert")).to_contain_text("No answer from the service")
    page.unroute("**/v1/search")
    page.get_by_role("button", name="Try again").click()
    expect_first(page, "a red wall")
    expect(page.get_by_role("alert")).to_be_hidden()


@pytest.mark.parametrize("status", ["lost", "failed", "starting"])
def test_what_stays_the_same_is_said_once(visit: Visit, gallery: Service, watch: Watch, status: str) -> None:
    """A screen reader reads whatever is written into an alert or a status, and the page asks every second."""
    watch.expected = "ERR_FAILED|status of 503"
    asked = 0

    def answer(route: Route) -> None:
        nonlocal asked
        asked += 1
        if status == "lost":
            return route.abort()
        return route.fulfill(status=503, json={"status": status, "detail": "The disk is full.", "images": 0})

    page = visit(gallery, prepare=lambda page: page.route("**/readyz", answer))
    said = page.get_by_role("status" if status == "starting" else "alert").filter(visible=True)
    expect(said).to_contain_text("No answer from the service" if status == "lost" else "The disk is full.")
    watching = """said => {
        window.changes = 0;
        const observed = () => new MutationObserver((all) => (window.changes += all.length));
        observed().observe(said, { childList: true, characterData: true, subtree: true });
        for (const each of [said, said.parentElement]) observed().observe(each, { attributeFilter: ["hidden"] });
    }"""
    said.evaluate(watching)
    before = asked
    while asked < before + 3:
        page.wait_for_event("request", lambda request: request.url.endswith("/readyz"))
    assert page.evaluate("window.changes") == 0


def test_a_starting_service_shows_its_progress_and_then_answers(visit: Visit, gallery: Service, watch: Watch) -> None:
    watch.expected = "status of 503"
    ready = False

    def answer(route: Route) -> None:
        if ready:
            return route.continue_()
        progress = {"status": "starting", "detail": "The demo gallery is being added.", "images": 512}
        return route.fulfill(status=503, json=progress | {"demo": {"done": 512, "total": 1946}})

    page = visit(gallery, prepare=lambda page: page.route("**/readyz", answer))
    expect(page.get_by_text("The demo gallery is being added. 512 of 1,946")).to_be_visible()
    bar = page.get_by_role("progressbar", name="Start-up progress")
    assert bar.evaluate("bar => bar.position") == pytest.approx(512 / 1946)
    box(page).fill("red")
    expect(page).to_have_url("/?q=red")
    ready = True
    expect_first(page, "a red wall")
    expect(bar).to_be_hidden()
