"""Pictures go in, come back byte for byte, and go away when they are deleted."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image
from starlette.testclient import TestClient

from app.settings import Settings
from app.storage.originals import Originals
from tests.app.dummy import COLOURS
from tests.app.pictures import encoded, noise, plain
from tests.app.running import add, opened


def test_a_picture_comes_back_byte_for_byte_with_its_facts(client: TestClient) -> None:
    data = plain("red", (40, 30), "JPEG")
    answer = client.post(
        "/v1/images", files={"file": ("r.png", data, "text/html")}, data={"metadata": '{"place": "Oslo"}'}
    )
    assert answer.status_code == 201
    (image,) = answer.json()["images"]
    facts = {"sha256": hashlib.sha256(data).hexdigest(), "width": 40, "height": 30, "bytes": len(data)}
    assert facts.items() <= image.items()
    assert (image["metadata"], image["duplicate"]) == ({"place": "Oslo"}, False)
    assert image["content_type"] == "image/jpeg"  # as it is, not as its sender says

    record = client.get(f"/v1/images/{image['id']}").json()
    assert record == {name: value for name, value in image.items() if name != "duplicate"}
    content = client.get(f"/v1/images/{image['id']}/content")
    assert (content.content, content.headers["content-type"]) == (data, "image/jpeg")
    assert content.headers["x-content-type-options"] == "nosniff"


def test_a_thumbnail_is_small_upright_and_transparent(client: TestClient) -> None:
    drawing = Image.new("RGBA", (1000, 500), (0, 0, 0, 0))
    drawing.paste((255, 0, 0, 255), (0, 0, 500, 500))
    exif = Image.Exif()
    exif[0x0112] = 6
    image = add(client, encoded(drawing, exif=exif))
    answer = client.get(f"/v1/images/{image['id']}/thumbnail")
    assert answer.headers["content-type"] == "image/webp"
    small = Image.open(io.BytesIO(answer.content))
    assert (image["width"], image["height"], small.size) == (500, 1000, (128, 256))
    assert small.getpixel((64, 250))[3] == 0
    assert small.getpixel((64, 20))[0] > 200


@pytest.mark.parametrize("part", ["content", "thumbnail"])
def test_a_browser_that_has_a_picture_does_not_load_it_again(client: TestClient, part: str) -> None:
    url = f"/v1/images/{add(client, plain('red'))['id']}/{part}"
    first = client.get(url)
    for tags in (first.headers["etag"], f'"other", W/{first.headers["etag"]}', "*"):
        again = client.get(url, headers={"If-None-Match": tags})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert client.get(url, headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize("part", ["content", "thumbnail"])
def test_a_browser_keeps_a_picture_for_good_only_from_the_address_that_names_its_bytes(
    client: TestClient, part: str
) -> None:
    client.put("/v1/images/one", files={"file": plain("red")})
    (named,) = (result[f"{part}_url"] for result in client.get("/v1/search?q=red").json()["results"])
    assert client.get(named).headers["cache-control"] == "private, max-age=31536000, immutable"
    assert client.get(f"/v1/images/one/{part}").headers["cache-control"] == "private, max-age=31536000, no-cache"
    client.put("/v1/images/one", files={"file": plain("blue")})
    stale = client.get(named)  # what a page that was open before asks for: it gets the picture there is now
    assert stale.headers["cache-control"] == "private, max-age=31536000, no-cache"


def test_a_field_that_is_misspelt_is_not_lost_without_a_word(client: TestClient) -> None:
    files, fields = {"file": plain("red")}, {"metdata": '{"a": 1}'}
    for answer in (
        client.post("/v1/images", files=files, data=fields),
        client.put("/v1/images/red", files=files, data=fields),
    ):
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
        assert "there is no field 'metdata', only file, url, metadata" in answer.json()["detail"]
    assert client.get("/v1/images").json()["total"] == 0


def test_a_text_in_the_place_of_a_file_is_told_how_to_be_one(client: TestClient) -> None:
    for answer in (
        client.post("/v1/images", files={"file": (None, "red.png")}),
        client.put("/v1/images/red", files={"file": (None, "red.png")}),
    ):
        assert answer.status_code == 422
        assert "file=@picture.png" in answer.json()["detail"]


def test_a_lost_thumbnail_is_made_again(client: TestClient, settings: Settings) -> None:
    url = f"/v1/images/{add(client, plain('red'))['id']}/thumbnail"
    whole = client.get(url).content
    (file,) = settings.data.glob("thumbnails/*/*.webp")
    for damage in (file.unlink, lambda: file.write_bytes(whole[:20]), lambda: file.write_bytes(b"")):
        damage()
        assert client.get(url).content == whole


def test_a_lost_original_is_said_so_and_harms_nothing_else(client: TestClient, settings: Settings) -> None:
    lost, kept = add(client, plain("red")), add(client, plain("blue"))
    (settings.data / "originals" / lost["sha256"][:2] / lost["sha256"]).unlink()
    answer = client.get(f"/v1/images/{lost['id']}/content")
    assert (answer.status_code, answer.json()["title"]) == (500, "The file is missing")
    assert client.get(f"/v1/images/{kept['id']}/content").status_code == 200


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"damaged")])
def test_a_lost_original_comes_back_with_the_same_bytes(
    client: TestClient, settings: Settings, damage: Callable[[Path], Any]
) -> None:
    lost = add(client, plain("red"))
    damage(settings.data / "originals" / lost["sha256"][:2] / lost["sha256"])
    again = add(client, plain("red"))
    assert (again["id"], again["duplicate"]) == (lost["id"], True)
    assert client.get(f"/v1/images/{lost['id']}/content").content == plain("red")
    assert not list((settings.data / "originals" / "staging").iterdir())


def test_an_original_that_the_disk_does_not_open_is_a_fault_of_the_disk(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = add(client, plain("red"))

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        answer = client.get(f"/v1/images/{image['id']}/content")
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:parallax:problem:storage-fault")
    assert answer.headers["retry-after"] == "5"


def test_no_thumbnail_is_left_of_a_picture_that_is_deleted_while_it_is_made(
    client: TestClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = add(client, plain("red"))
    (file,) = settings.data.glob("thumbnails/*/*.webp")
    file.unlink()
    write = Originals.write_thumbnail

    def write_late(originals: Originals, sha256: str, small: bytes) -> None:
        assert client.delete(f"/v1/images/{image['id']}").status_code == 204
        write(originals, sha256, small)

    monkeypatch.setattr(Originals, "write_thumbnail", write_late)
    client.get(f"/v1/images/{image['id']}/thumbnail")
    assert not list(settings.data.glob("thumbnails/*/*.webp"))


def test_many_files_with_metadata_each(client: TestClient) -> None:
    colours = ["red", "green", "blue"]
    files = [("file", (f"{colour}.png", plain(colour))) for colour in colours]
    metadata = json.dumps([{"colour": colour} for colour in colours])
    answer = client.post("/v1/images", files=files, data={"metadata": metadata}).json()
    assert [image["metadata"]["colour"] for image in answer["images"]] == colours
    assert len({image["id"] for image in answer["images"]}) == 3


def test_a_bad_file_fails_alone(client: TestClient) -> None:
    files = [("file", ("a.png", plain("red"))), ("file", ("b.png", b"text")), ("file", ("c.png", plain("blue")))]
    answer = client.post("/v1/images", files=files, data={"metadata": '[{"n": 0}, {"n": 1}, {"n": 2}]'})
    assert answer.status_code == 201
    assert [image["metadata"]["n"] for image in answer.json()["images"]] == [0, 2]
    (error,) = answer.json()["errors"]
    assert (error["filename"], error["problem"]["status"]) == ("b.png", 415)


def test_if_all_files_fail_the_answer_is_their_problem(client: TestClient) -> None:
    answer = client.post("/v1/images", files=[("file", ("a.png", b"")), ("file", ("b.png", b"text"))])
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert [error["problem"]["status"] for error in answer.json()["errors"]] == [400, 415]


def test_the_same_bytes_are_kept_once(client: TestClient, settings: Settings) -> None:
    first = add(client, plain("red"))
    again = add(client, plain("red"), metadata={"new": True})
    assert again == {**first, "duplicate": True}
    twice = client.post("/v1/images", files=[("file", ("a", plain("blue"))), ("file", ("b", plain("blue")))]).json()
    assert [image["duplicate"] for image in twice["images"]] == [False, True]
    assert len({image["id"] for image in twice["images"]}) == 1
    assert client.get("/v1/images").json()["total"] == 2


def test_the_same_bytes_under_a_new_id_are_a_second_record_on_one_file(client: TestClient, settings: Settings) -> None:
    add(client, plain("red"), name="one", metadata={"n": 1})
    second = add(client, plain("red"), name="two", metadata={"n": 2})
    assert (second["duplicate"], second["metadata"]) == (False, {"n": 2})
    originals = [path for path in settings.data.glob("originals/*/*") if path.is_file()]
    assert len(originals) == 1

    assert client.delete("/v1/images/one").status_code == 204
    assert client.get("/v1/images/two/content").content == plain("red")
    assert client.delete("/v1/images/two").status_code == 204
    assert not originals[0].exists()


def test_an_id_is_given_once(client: TestClient) -> None:
    add(client, plain("red"), name="mine")
    for data in (plain("red"), plain("blue")):
        answer = client.post("/v1/images", files={"file": data}, data={"id": "mine"})
        assert (answer.status_code, answer.headers["content-type"]) == (409, "application/problem+json")
        assert "'mine'" in answer.json()["detail"]
    assert client.get("/v1/images").json()["total"] == 1


@pytest.mark.parametrize("image_id", ["a", "2024:holiday+1@home=x_y-z.jpg", "x" * 200])
def test_ids_that_may_be_given(client: TestClient, image_id: str) -> None:
    assert add(client, plain("red"), name=image_id)["id"] == image_id
    (found,) = client.get("/v1/search?q=red").json()["results"]
    for url in (f"/v1/images/{image_id}", found["content_url"], found["thumbnail_url"]):
        assert client.get(url).status_code == 200


@pytest.mark.parametrize("image_id", ["a b", "a/b", "..", "-a", "ä", "x" * 201, "a\n", "a?b"])
def test_ids_that_may_not_be_given(client: TestClient, image_id: str) -> None:
    answer = client.post("/v1/images", files={"file": plain("red")}, data={"id": image_id})
    assert answer.status_code == 422
    assert "1 to 200" in answer.json()["detail"]
    assert client.get("/v1/images").json()["total"] == 0


def test_an_id_is_for_a_single_file(client: TestClient) -> None:
    files = [("file", ("a", plain("red"))), ("file", ("b", plain("blue")))]
    assert client.post("/v1/images", files=files, data={"id": "mine"}).status_code == 422


@pytest.mark.parametrize(
    ("metadata", "word"),
    [
        ("{", "JSON"),
        ("[]", "one each"),
        ("[{}, {}]", "one each"),
        ("[1]", "a number"),
        ('"text"', "a string"),
        ("null", "null"),
        ('{"a": NaN}', "NaN"),
        ('{"a": 1e999}', "express"),
        ('{"a": "\\ud800"}', "express"),
        ('{"a": ' + "[" * 50 + "]" * 50 + "}", "deep"),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "nesting"),
        (json.dumps({"a": "x" * 70_000}), "limit"),
        ('{"a": ' + "9" * 5000 + "}", "JSON"),
    ],
    ids=lambda value: value[:12],
)
def test_metadata_that_cannot_be_kept_is_refused(client: TestClient, metadata: str, word: str) -> None:
    answer = client.post("/v1/images", files={"file": plain("red")}, data={"metadata": metadata})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert word in answer.json()["detail"]
    assert client.get("/v1/images").json()["total"] == 0


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(metadata=st.dictionaries(st.text(max_size=9), JSON_VALUES, max_size=4), seed=st.integers(0, 2**32))
def test_metadata_come_back_as_they_were_given(client: TestClient, metadata: dict[str, Any], seed: int) -> None:
    image = add(client, noise(seed), metadata=metadata)
    if not image["duplicate"]:
        assert client.get(f"/v1/images/{image['id']}").json()["metadata"] == metadata


def test_paging_shows_every_picture_once_newest_first(client: TestClient) -> None:
    ids = [add(client, noise(seed))["id"] for seed in range(7)]
    seen, cursor = [], None
    while True:
        page = client.get("/v1/images", params={"limit": 3} | ({"cursor": cursor} if cursor else {})).json()
        seen += [image["id"] for image in page["images"]]
        if not seen[3:]:  # what happens between two pages moves nobody to another page
            add(client, noise(100))
            client.delete(f"/v1/images/{ids[6]}")
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == ids[::-1]
    assert page["total"] == 7


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1001", "limit=x", "filtre={}", "cursor=x", "cursor=%00", "cursor=", "cursor=__________8"],
)
def test_a_page_that_cannot_be_is_refused(client: TestClient, query: str) -> None:
    answer = client.get(f"/v1/images?{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


def test_a_deleted_picture_is_gone(client: TestClient, settings: Settings) -> None:
    image = add(client, plain("red"))
    add(client, plain("blue"))
    assert client.delete(f"/v1/images/{image['id']}").status_code == 204
    assert image["id"] not in [found["id"] for found in client.get("/v1/search?q=red").json()["results"]]
    for request in (client.get, client.delete):
        assert request(f"/v1/images/{image['id']}").status_code == 404
    assert not list(settings.data.glob(f"*/*/{image['sha256']}*"))
    assert not add(client, plain("red"))["duplicate"]


def test_a_file_whose_removal_a_crash_prevented_goes_at_the_next_start(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(settings) as client:
        red, blue = add(client, plain("red")), add(client, plain("blue"))
        paths = {
            image["id"]: settings.data / "originals" / image["sha256"][:2] / image["sha256"] for image in (red, blue)
        }
        with monkeypatch.context() as crash:
            crash.setattr(Originals, "remove", lambda *_: False)  # as if the process had died before
            for image in (red, blue):
                client.delete(f"/v1/images/{image['id']}")
        assert all(path.exists() for path in paths.values())
        add(client, plain("blue"))
    with opened(settings):
        assert not paths[red["id"]].exists()
        assert paths[blue["id"]].exists()


def test_pictures_of_all_colours_are_told_apart(client: TestClient) -> None:
    for colour in COLOURS:
        add(client, plain(colour), name=colour)
    for colour in COLOURS:
        assert client.get("/v1/search", params={"q": colour}).json()["results"][0]["id"] == colour
