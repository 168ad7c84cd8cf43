"""Looking at pictures, and adding some."""

from __future__ import annotations

import re

from playwright.sync_api import Route, expect

from tests.app.pictures import noise, plain
from tests.browser.conftest import NOISE, Service, Visit, Watch
from tests.browser.gestures import choose, drag, picture_file


def test_the_gallery_is_shown_newest_first_to_its_end(visit: Visit, gallery: Service) -> None:
    page = visit(gallery)
    expect(page.locator(".tile")).to_have_count(48)
    expect(page.locator("#total")).to_have_text("66 pictures")
    page.get_by_role("button", name="Show more").click()
    expect(page.locator(".tile")).to_have_count(NOISE + 6)
    expect(page.get_by_role("button", name="Show more")).to_be_hidden()
    shown = page.locator(".tile").evaluate_all("tiles => tiles.map(tile => tile.dataset.id)")
    assert shown == ["evil", "black", "yellow", "blue", "green", "red", *(f"noise-{i}" for i in reversed(range(NOISE)))]


def test_more_that_does_not_come_is_said_where_one_looks(visit: Visit, gallery: Service, watch: Watch) -> None:
    watch.expected = "ERR_FAILED"
    page = visit(gallery)
    expect(page.locator(".tile")).to_have_count(48)
    page.route("**/v1/images?*", lambda route: route.abort())
    page.get_by_role("button", name="Show more").click()
    expect(page.get_by_role("alert").get_by_text("No answer from the service")).to_be_in_viewport(ratio=1)
    expect(page.locator(".tile")).to_have_count(48)


def test_results_go_on_to_the_end(visit: Visit, gallery: Service) -> None:
    page = visit(gallery, "/?q=red")
    page.get_by_role("button", name="Show more").click()
    expect(page.locator(".tile")).to_have_count(NOISE + 6)
    shown = page.locator(".tile").evaluate_all("tiles => tiles.map(tile => tile.dataset.id)")
    answer = gallery.client.get("/v1/search", params={"q": "red", "limit": 100}).json()["results"]
    assert shown == [result["id"] for result in answer]


def test_a_picture_is_shown_large_with_its_record(visit: Visit, gallery: Service) -> None:
    page = visit(gallery, "/?q=red")
    page.locator(".tile").first.hover()
    page.get_by_role("link", name="Details of a red wall").click()
    dialog = page.get_by_role("dialog", name="a red wall")
    expect(dialog).to_contain_text("320 × 240")
    expect(dialog).to_contain_text("PNG")
    expect(page).to_have_url("/?q=red&view=red")
    picture = dialog.get_by_role("img")
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 320
    original = dialog.get_by_role("link", name="Open original").evaluate("link => link.href")
    assert gallery.client.get(original).content == plain("red", (320, 240))

    page.keyboard.press("ArrowRight")
    second = page.locator(".tile").nth(1).get_attribute("data-id")
    expect(page).to_have_url(f"/?q=red&view={second}")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page).to_have_url("/?q=red")
    page.go_back()
    expect(page).to_have_url("about:blank")  # looking at pictures left no steps behind


def test_the_back_button_closes_a_picture(visit: Visit, gallery: Service) -> None:
    page = visit(gallery, "/?q=red")
    page.locator(".tile").first.hover()
    page.get_by_role("link", name="Details of a red wall").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page).to_have_url("/?q=red")
    page.go_forward()
    expect(page.get_by_role("dialog", name="a red wall")).to_be_visible()


def test_from_a_picture_on_to_its_like_and_to_its_tags(visit: Visit, gallery: Service) -> None:
    page = visit(gallery, "/?view=blue")
    dialog = page.get_by_role("dialog", name="a blue wall")
    expect(dialog.get_by_role("button", name="Close")).to_be_focused()
    expect(dialog.get_by_role("button", name="Next picture")).to_be_enabled()
    dialog.get_by_role("link", name="More like this").click()
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("heading", name="More like “a blue wall”")).to_be_visible()
    page.go_back()
    dialog.get_by_role("link", name="blue", exact=True).click()
    expect(dialog).to_be_hidden()
    expect(page.locator(".tile").first).to_have_attribute("data-id", "blue")
    expect(page).to_have_url("/?q=blue")


def test_keys_lead_on_after_a_button_has_led_to_the_last_picture(visit: Visit, gallery: Service) -> None:
    page = visit(gallery, "/?q=red")
    tiles = page.locator(".tile")
    tiles.nth(1).wait_for()
    first, second = (tiles.nth(place).get_attribute("data-id") for place in range(2))
    page.goto(f"/?q=red&view={second}")
    previous = page.get_by_role("dialog").get_by_role("button", name="Previous picture")
    previous.focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"/?q=red&view={first}")
    expect(previous).to_be_disabled()
    expect(page.get_by_role("button", name="Next picture")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(previous).to_be_enabled()
    expect(page).to_have_url(f"/?q=red&view={second}")


def test_pictures_are_added_and_each_bad_file_fails_alone(visit: Visit, empty: Service, watch: Watch) -> None:
    watch.expected = r"status of 4\d\d"
    page = visit(empty)
    expect(page.get_by_role("heading", name="No pictures yet")).to_be_visible()
    words = b"these are words and no picture"
    sentence = empty.client.post("/v1/images", files={"file": words}).json()["detail"]
    files = [picture_file(noise(seed), f"IMG_{seed}.png") for seed in range(5)]
    choose(page, "Add pictures", [*files, picture_file(words, "words.png")])
    tray = page.get_by_role("region", name="Adding pictures")
    expect(tray).to_contain_text("5 pictures added, 1 failed")
    expect(tray.get_by_role("listitem")).to_have_text([f"words.png {sentence}"])
    expect(page.locator(".tile")).to_have_count(5)
    assert sorted(page.locator(".tile img").evaluate_all("all => all.map(image => image.alt)")) == [
        f"IMG_{seed}.png" for seed in range(5)
    ]
    expect(page.locator("#total")).to_have_text("5 pictures")
    expect(page.get_by_role("navigation", name="Example searches")).to_be_hidden()  # they are about the demo gallery
    expect(page.get_by_text("Twemoji")).to_be_hidden()

    choose(page, "Add pictures", files[:2])
    expect(tray).to_contain_text("2 in the gallery already")
    expect(tray.get_by_role("listitem")).to_have_count(0)
    tray.get_by_role("button", name="Close").click()
    expect(tray).to_be_hidden()
    assert empty.client.get("/v1/images").json()["total"] == 5


def test_pictures_dropped_on_the_gallery_are_added_and_found(visit: Visit, empty: Service) -> None:
    page = visit(empty, "/?q=green")
    expect(page.get_by_role("heading", name="No pictures yet")).to_be_visible()
    files = [picture_file(plain(colour), f"{colour}.png") for colour in ("red", "green")]
    drag(page, files, onto="[data-zone=add]")
    expect(page.locator(".tile")).to_have_count(2)
    expect(page.locator(".tile").first).to_contain_text("green.png")
    expect(page).to_have_url(re.compile(r"\?q=green$"))


def test_a_picture_that_was_replaced_or_renamed_is_shown_as_it_is_now(visit: Visit, empty: Service) -> None:
    for name in ("replaced", "renamed", "same"):
        empty.add(noise(len(name)), name, label=name)
    page = visit(empty)
    tiles = page.locator(".tile")
    expect(tiles).to_have_count(3)
    page.evaluate("document.querySelectorAll('.tile').forEach((tile) => (tile.seen = true))")
    empty.client.put("/v1/images/replaced", files={"file": noise(1)}, data={"metadata": '{"label": "replaced"}'})
    empty.client.patch("/v1/images/renamed", json={"label": "another name"})
    choose(page, "Add pictures", [picture_file(noise(2), "new.png")])
    expect(tiles).to_have_count(4)
    assert tiles.evaluate_all("all => all.map((tile) => [tile.dataset.id, Boolean(tile.seen)])")[1:] == [
        ["same", True],
        ["renamed", False],
        ["replaced", False],
    ]
    expect(tiles.nth(2)).to_contain_text("another name")
    sha256 = empty.client.get("/v1/images/replaced").json()["sha256"]
    expect(tiles.nth(3).get_by_role("img")).to_have_attribute("src", re.compile(rf"\?v={sha256[:12]}$"))
    tiles.locator("img").evaluate_all("all => Promise.all(all.map((image) => image.decode()))")
    page.get_by_role("searchbox").fill("red")
    expect(page.get_by_role("heading", name="Nearest to “red”")).to_be_visible()
    assert page.locator(".tile[data-id=same]").evaluate("tile => tile.seen")  # a result, and no record


def test_a_busy_service_is_given_time(visit: Visit, empty: Service, watch: Watch) -> None:
    watch.expected = "status of 429"
    page = visit(empty)
    refused: list[Route] = []

    def refuse_once(route: Route) -> None:
        if route.request.method != "POST" or refused:
            return route.continue_()
        refused.append(route)
        problem = {"title": "Too many requests", "status": 429, "detail": "Come back."}
        return route.fulfill(status=429, headers={"Retry-After": "1"}, json=problem)

    page.route("**/v1/images", refuse_once)
    choose(page, "Add pictures", [picture_file(plain("red"), "red.png")])
    expect(page.get_by_role("region", name="Adding pictures")).to_contain_text("1 picture added")
    assert len(refused) == 1


def test_a_gallery_of_one_picture_is_not_called_empty(visit: Visit, empty: Service) -> None:
    empty.add(plain("red"), "red", label="a red wall")
    page = visit(empty, "/?like=red")
    expect(page.get_by_role("heading", name="More like “a red wall”")).to_be_visible()
    expect(page.locator("#status")).to_contain_text("0 of 1")
    expect(page.get_by_role("heading", name="No pictures yet")).to_be_hidden()


def test_what_was_given_up_is_not_added_later_and_what_follows_is(visit: Visit, empty: Service, watch: Watch) -> None:
    watch.expected = "status of 429"
    page = visit(empty)
    expect(page.get_by_role("heading", name="No pictures yet")).to_be_visible()
    page.clock.install()
    problem = {"title": "Too many requests", "status": 429, "detail": "Come back."}
    busy = {"status": 429, "headers": {"Retry-After": "1"}, "json": problem}
    page.route("**/v1/images", lambda route: route.fulfill(**busy))
    with page.expect_event("requestfinished", lambda request: request.method == "POST"):
        choose(page, "Add pictures", [picture_file(plain("red"), "red.png")])
    tray = page.get_by_role("region", name="Adding pictures")
    tray.get_by_role("button", name="Close").click()
    page.unroute("**/v1/images")
    choose(page, "Add pictures", [picture_file(plain("blue"), "blue.png")])
    expect(tray).to_contain_text("1 picture added")
    page.clock.run_for(5000)  # well over the second after which the first was to be sent again
    expect(page.locator(".tile")).to_have_count(1)
    page.locator(".tile img").evaluate("image => image.decode()")  # before the service goes
    names = [image["metadata"]["filename"] for image in empty.client.get("/v1/images").json()["images"]]
    assert names == ["blue.png"]
