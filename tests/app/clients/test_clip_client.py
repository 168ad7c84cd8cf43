"""clip-retrieval's `ClipClient` works against the service unchanged: only its address is another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

from app.client import Client
from tests.app.clip_retrieval import clip_client
from tests.app.dummy import ColourEncoder
from tests.app.pictures import plain
from tests.app.process import running

COLOURS = ("red", "green", "blue")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("data")) as (service, http):
        service.wait_for("ready:")
        address = str(http.base_url).rstrip("/")
        with Client(address) as client:
            for colour in COLOURS:
                client.put(colour, plain(colour), {"caption": f"a {colour} wall", "NSFW": "UNLIKELY"})
            client.put("red-again", plain("red", (30, 30)), {"url": "https://example.org/red.png"})
        yield address


def client(url: str, **options: Any) -> Any:
    (name,) = requests.get(f"{url}/indices-list", timeout=60).json()
    return clip_client.ClipClient(url=f"{url}/knn-service", indice_name=name, **options)


def test_words_find_pictures(url: str) -> None:
    results = client(url, num_images=2, deduplicate=False).query(text="a blue one")
    assert len(results) == 2
    best = results[0]
    assert best["id"] == "blue"
    assert best["similarity"] == pytest.approx(1, abs=1e-5)
    assert (best["caption"], best["NSFW"]) == ("a blue wall", "UNLIKELY")
    assert requests.get(best["url"], timeout=60).content == plain("blue")


def test_a_picture_finds_its_like(url: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.png"
    file.write_bytes(plain("green", (50, 50)))
    assert client(url).query(image=str(file))[0]["id"] == "green"


def test_a_vector_finds_pictures(url: str) -> None:
    vector = (3 * ColourEncoder().encode_texts(["blue"])[0]).tolist()  # of any length
    best = client(url).query(embedding_input=vector)[0]
    assert (best["id"], best["similarity"]) == ("blue", pytest.approx(1, abs=1e-5))


def test_what_looks_the_same_is_shown_once(url: str) -> None:
    every = client(url, deduplicate=False).query(text="red")
    assert {"red", "red-again"} <= {result["id"] for result in every}
    assert every[0]["similarity"] == pytest.approx(every[1]["similarity"])
    once = client(url).query(text="red")
    assert len(once) == len(COLOURS)
    assert once[0]["id"] == every[0]["id"]


def test_metadata_keep_their_own_address(url: str) -> None:
    found = {result["id"]: result for result in client(url, deduplicate=False).query(text="red")}
    assert found["red-again"]["url"] == "https://example.org/red.png"


def test_an_address_of_a_picture_is_refused_where_nothing_is_fetched(url: str) -> None:
    answer = client(url).query(image="http://127.0.0.1/picture.png")
    assert "does not fetch" in answer["message"]


@pytest.mark.parametrize("name", ["laion5B", "", None])
def test_the_name_of_the_index_does_not_matter(url: str, name: str | None) -> None:
    asked = clip_client.ClipClient(url=f"{url}/knn-service", indice_name=name)
    assert asked.query(text="red")[0]["similarity"] == pytest.approx(1, abs=1e-5)


READ, WRITE = "read-" + "r" * 20, "write:@/" + "w" * 20


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """host:port of a service that asks for keys."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PARALLAX_API_KEYS", WRITE)
        environment.setenv("PARALLAX_READ_KEYS", READ)
        with running(tmp_path_factory.mktemp("data")) as (service, http):
            service.wait_for("ready:")
            with Client(str(http.base_url), key=WRITE) as client:
                client.put("blue", plain("blue"))
            yield http.base_url.netloc.decode()


@pytest.mark.parametrize("key", [READ, WRITE])
def test_the_key_is_the_password_in_the_address(closed: str, key: str) -> None:
    url = f"http://anyone:{quote(key, safe='')}@{closed}"
    assert client(url).query(text="blue")[0]["id"] == "blue"
    assert requests.post(f"{url}/metadata", json={"ids": ["blue"]}, timeout=60).json()[0]["id"] == "blue"
    added = requests.put(f"{url}/v1/images/red", files={"file": plain("red")}, timeout=60)
    assert added.status_code == (403 if key == READ else 201)


@pytest.mark.parametrize("user_info", ["", "anyone:no@", f"{READ}@", f"{READ}:@"])
def test_without_the_right_key_the_answer_says_what_to_send(closed: str, user_info: str) -> None:
    asked = clip_client.ClipClient(url=f"http://{user_info}{closed}/knn-service", indice_name="parallax")
    assert "key" in asked.query(text="blue")["message"]
