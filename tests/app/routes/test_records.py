"""Records are put, replaced, patched and filtered; whatever is refused leaves them as they were."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from app.records.metadata import parse_patch, patched
from app.routes import images
from app.schemas import Image
from app.settings import Settings
from tests.app.pictures import noise, plain
from tests.app.running import add

Json = Any


def originals(settings: Settings) -> list[Path]:
    return [path for path in settings.data.glob("originals/??/*") if path.is_file()]


def put(client: TestClient, name: str, data: bytes, metadata: Json = None) -> Any:
    fields = {} if metadata is None else {"metadata": json.dumps(metadata)}
    return client.put(f"/v1/images/{name}", files={"file": data}, data=fields)


def patch(client: TestClient, name: str, body: Json, kind: str = "application/merge-patch+json") -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.patch(f"/v1/images/{name}", content=content, headers={"Content-Type": kind})


# PUT


def test_a_picture_is_created_under_its_id_then_replaced(client: TestClient, settings: Settings) -> None:
    created = put(client, "mine", plain("red"), {"n": 1})
    assert (created.status_code, created.json()["metadata"]) == (201, {"n": 1})
    assert client.get("/v1/images/mine").json() == created.json()

    add(client, plain("green"))
    replaced = put(client, "mine", plain("blue", (50, 40)), {"m": 2})
    assert replaced.status_code == 200
    record = client.get("/v1/images/mine").json()
    assert record == replaced.json()
    assert (record["metadata"], record["width"], record["height"]) == ({"m": 2}, 50, 40)
    assert record["created_at"] == created.json()["created_at"]
    assert client.get("/v1/images/mine/content").content == plain("blue", (50, 40))
    assert [image["id"] for image in client.get("/v1/images").json()["images"]][-1] == "mine"
    assert len(originals(settings)) == 2

    assert client.get("/v1/search?q=blue").json()["results"][0]["id"] == "mine"
    found = client.get("/v1/search?q=red&min_relevance=0.5").json()["results"]
    assert "mine" not in [result["id"] for result in found]


def test_a_replaced_picture_has_another_address_so_no_browser_shows_the_old_one(client: TestClient) -> None:
    put(client, "mine", plain("red"))
    (before,) = client.get("/v1/search?q=red").json()["results"]
    tag = client.get(before["thumbnail_url"]).headers["etag"]
    put(client, "mine", plain("blue"))
    (after,) = client.get("/v1/search?q=red").json()["results"]
    assert before["content_url"] != after["content_url"]
    assert client.get(after["thumbnail_url"], headers={"If-None-Match": tag}).status_code == 200


def test_to_put_the_same_again_changes_nothing(client: TestClient) -> None:
    first = put(client, "mine", plain("red"), {"n": 1}).json()
    again = put(client, "mine", plain("red"), {"n": 1})
    assert (again.status_code, again.json()) == (200, first)
    assert client.get("/v1/images").json()["total"] == 1


def test_metadata_left_out_of_a_put_are_empty(client: TestClient) -> None:
    put(client, "mine", plain("red"), {"n": 1})
    assert put(client, "mine", plain("red")).json()["metadata"] == {}


def test_bytes_that_are_there_already_make_a_second_record_on_the_same_file(
    client: TestClient, settings: Settings
) -> None:
    put(client, "one", plain("red"))
    assert put(client, "two", plain("red")).status_code == 201
    assert len(originals(settings)) == 1
    put(client, "one", plain("blue"))
    assert client.get("/v1/images/two/content").content == plain("red")


@pytest.mark.parametrize(
    ("name", "data", "metadata", "status"),
    [
        ("mine", b"", {}, 400),
        ("mine", b"text", {}, 415),
        ("mine", plain("blue")[:60], {}, 422),
        ("mine", plain("blue"), [], 422),
        ("mine", plain("blue"), [{}, {}], 422),
        ("mine", plain("blue"), "text", 422),
        ("mine", plain("blue"), {"a": "x" * 70_000}, 422),
        ("a b", plain("blue"), {}, 422),
        ("-x", plain("blue"), {}, 422),
        ("x" * 201, plain("blue"), {}, 422),
    ],
)
def test_a_put_that_is_refused_leaves_what_was_there(
    client: TestClient, settings: Settings, name: str, data: bytes, metadata: Json, status: int
) -> None:
    before = put(client, "mine", plain("red"), {"n": 1}).json()
    answer = put(client, name, data, metadata)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert client.get("/v1/images").json()["images"] == [before]
    assert client.get("/v1/images/mine/content").content == plain("red")
    assert client.get("/v1/search?q=red").json()["results"][0]["score"] == 1
    assert len(originals(settings)) == 1


def test_a_put_without_a_picture_is_told_what_is_missing(client: TestClient) -> None:
    for answer in (client.put("/v1/images/mine"), client.put("/v1/images/mine", data={"metadata": "{}"})):
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
        assert "file" in answer.json()["detail"]


def test_a_put_is_of_one_picture(client: TestClient) -> None:
    files = [("file", ("a", plain("red"))), ("file", ("b", plain("blue")))]
    answer = client.put("/v1/images/mine", files=files)
    assert (answer.status_code, client.get("/v1/images").json()["total"]) == (422, 0)


def test_a_picture_is_read_whole_or_not_found_while_it_is_replaced_and_deleted(client: TestClient) -> None:
    """Never an error, nor the bytes of one picture under the tag of another."""
    pictures = [plain("red"), plain("blue", (300, 300)), noise(1), noise(2, 64)]
    put(client, "mine", pictures[0])

    def write(turn: int) -> None:
        if turn % 5 == 4:
            client.delete("/v1/images/mine")
        else:
            assert put(client, "mine", pictures[turn % 4]).status_code in (200, 201)

    def read(turn: int) -> None:
        part = "thumbnail" if turn % 2 else "content"
        answer = client.get(f"/v1/images/mine/{part}")
        assert answer.status_code in (200, 404)
        if part == "content" and answer.status_code == 200:
            assert answer.content in pictures

    with ThreadPoolExecutor(4) as pool:
        writing = [pool.submit(write, turn) for turn in range(20)]
        reading = [pool.submit(read, turn) for turn in range(80)]
        for one in [*writing, *reading]:
            one.result()


# PATCH


@pytest.mark.parametrize(
    ("before", "body", "after"),
    # the examples of RFC 7396, appendix A, that have objects on both sides, and our second way to write a patch
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ({"a": "b"}, {}, {"a": "b"}),
        ({"a": "b"}, {"metadata": {"a": None, "c": 1}}, {"c": 1}),
        ({"a": "b"}, {"metadata": {"metadata": {"x": 1}}}, {"a": "b", "metadata": {"x": 1}}),
        ({"a": "b"}, {"metadata": 5}, {"a": "b", "metadata": 5}),
        ({"a": "b"}, {"metadata": {"x": 1}, "c": 2}, {"a": "b", "metadata": {"x": 1}, "c": 2}),
    ],
)
def test_metadata_are_patched_as_the_rfc_says(client: TestClient, before: Json, body: Json, after: Json) -> None:
    image = add(client, plain("red"), metadata=before)
    answer = patch(client, image["id"], body)
    assert answer.status_code == 200
    assert answer.json() == {name: value for name, value in {**image, "metadata": after}.items() if name != "duplicate"}
    assert client.get(f"/v1/images/{image['id']}").json() == answer.json()


NAMES = st.sampled_from("abc")
VALUES = st.recursive(
    st.none() | st.integers(0, 2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


def as_the_rfc_says(target: Json, change: Json) -> Json:
    """The pseudocode of RFC 7396, section 2."""
    if not isinstance(change, dict):
        return change
    if not isinstance(target, dict):
        target = {}
    for name, value in change.items():
        if value is None:
            target.pop(name, None)
        else:
            target[name] = as_the_rfc_says(target.get(name), value)
    return target


@given(target=st.dictionaries(NAMES, VALUES, max_size=3), change=st.dictionaries(NAMES, VALUES, max_size=3))
def test_a_patch_is_what_the_pseudocode_of_the_rfc_does(target: Json, change: Json) -> None:
    kept = json.dumps(target)
    after = patched(target, parse_patch(json.dumps(change).encode()))
    assert json.dumps(target) == kept
    assert after == as_the_rfc_says(target, change)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "JSON"),
        (b"{", "JSON"),
        (b"[]", "an array"),
        (b"null", "null"),
        (b'"x"', "a string"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": 1e999}', "express"),
        (b'{"a": "\\ud800"}', "express"),
        (b'{"a": "\xff"}', "JSON"),
        (b'{"a":' * 40 + b"1" + b"}" * 40, "deep"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nesting"),
        (b'{"b": "' + b"x" * 65_530 + b'"}', "65,536"),
    ],
    ids=lambda value: str(value)[:12],
)
def test_a_patch_that_cannot_be_is_refused_and_changes_nothing(client: TestClient, body: bytes, word: str) -> None:
    image = add(client, plain("red"), metadata={"a": {"x": 1}, "c": "y" * 100})
    answer = patch(client, image["id"], body)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert word in answer.json()["detail"]
    assert client.get(f"/v1/images/{image['id']}").json()["metadata"] == image["metadata"]


def test_a_patch_is_json_of_a_picture_that_is_there(client: TestClient) -> None:
    image = add(client, plain("red"))
    assert patch(client, image["id"], {"a": 1}, "application/json").status_code == 200
    assert patch(client, image["id"], {"a": 1}, "application/json; charset=utf-8").status_code == 200
    assert patch(client, image["id"], {"a": 1}, "application/x-www-form-urlencoded").status_code == 200  # curl -d
    for kind in ("multipart/form-data; boundary=x", "application/json-patch+json", "image/png"):
        answer = patch(client, image["id"], {"a": 2}, kind)
        assert (answer.status_code, answer.headers["content-type"]) == (415, "application/problem+json")
        assert "merge-patch" in answer.json()["detail"]
    assert patch(client, "nobody", {"a": 1}).status_code == 404


def test_patches_at_the_same_time_are_all_kept(client: TestClient) -> None:
    image = add(client, plain("red"))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: patch(client, image["id"], {f"n{n}": n}), range(24)))
    assert {answer.status_code for answer in answers} == {200}
    metadata = client.get(f"/v1/images/{image['id']}").json()["metadata"]
    assert metadata == {f"n{n}": n for n in range(24)}


# Lists


def test_a_filtered_list_has_every_match_once_newest_first_and_their_number(client: TestClient) -> None:
    for n in range(11):
        add(client, noise(n), name=f"p{n}", metadata={"n": n, "odd": n % 2 == 1})
    seen, cursor = [], None
    while True:
        parameters = {"limit": 2, "filter": '{"odd": true}'} | ({"cursor": cursor} if cursor else {})
        page = client.get("/v1/images", params=parameters).json()
        assert page["total"] == 5
        seen += [image["id"] for image in page["images"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == ["p9", "p7", "p5", "p3", "p1"]
    nothing = client.get("/v1/images", params={"filter": '{"odd": null}'}).json()
    assert nothing == {"images": [], "next_cursor": None, "total": 0}
    assert client.get("/v1/images", params={"filter": "{}"}).json()["total"] == 11


@pytest.mark.parametrize("text", ["", "{", "[]", "5", '{"n": {"$gt": {}}}', '{"$where": "1"}', '{"n": NaN}'])
def test_a_list_with_a_filter_that_is_none_is_refused(client: TestClient, text: str) -> None:
    answer = client.get("/v1/images", params={"filter": text})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert "filter" in answer.json()["detail"]


@pytest.mark.parametrize(("owner", "name"), [(images, "read_filter"), (Image, "of")])
def test_while_a_list_is_made_others_are_served(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, owner: object, name: str
) -> None:
    reached, released = Event(), Event()
    made = getattr(owner, name)

    def held(*given: Any) -> Any:
        reached.set()
        assert released.wait(timeout=20), "the event loop waits for one list"
        return made(*given)

    add(client, plain("red"))
    monkeypatch.setattr(owner, name, held)
    with ThreadPoolExecutor(1) as pool:
        listed = pool.submit(client.get, "/v1/images", params={"filter": "{}"})
        assert reached.wait(timeout=20)
        assert client.get("/livez").status_code == 200
        released.set()
        assert listed.result().json()["total"] == 1


# Uploads by address


def test_a_picture_is_added_from_an_address_only_where_that_is_allowed(client: TestClient) -> None:
    fields = {"url": "https://pictures.example/red.png", "id": "red", "metadata": '{"n": 1}'}
    refused = client.post("/v1/images", data=fields)
    assert (refused.status_code, client.get("/v1/images").json()["total"]) == (422, 0)

    class Web:
        def fetch(self, url: str) -> bytes:
            return plain("red") if url == fields["url"] else b"text"

    client.app.state.fetcher = Web()  # type: ignore[attr-defined]
    (image,) = client.post("/v1/images", data=fields).json()["images"]
    assert (image["id"], image["metadata"]) == ("red", {"n": 1})
    assert client.put("/v1/images/two", data={"url": fields["url"]}).status_code == 201
    answer = client.post("/v1/images", data={"url": "https://pictures.example/text"})
    assert answer.json()["errors"][0]["filename"] == "https://pictures.example/text"
    for both in (client.post("/v1/images", data=fields, files={"file": plain("red")}),):
        assert (both.status_code, "one of both" in both.json()["detail"]) == (422, True)
