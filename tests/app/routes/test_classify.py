"""A picture is told apart by labels that nobody has trained on."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from app.inference.classifier import verdicts
from tests.app.dummy import ColourEncoder
from tests.app.pictures import plain, two_colours
from tests.app.running import add

LABELS = ["something red", "green", "blue"]


def test_every_way_to_ask_gives_the_same_answer(client: TestClient) -> None:
    add(client, plain("green"), name="mine")
    encoded = base64.b64encode(plain("green")).decode()
    ways = [
        client.post("/v1/classify", json={"image": {"id": "mine"}, "labels": LABELS}),
        client.post("/v1/classify", json={"image": {"base64": encoded}, "labels": LABELS}),
        client.post("/v1/classify", files={"file": plain("green")}, data={"labels": LABELS}),
        client.post("/v1/classify", files={"file": plain("green")}, data={"labels": json.dumps(LABELS)}),
        client.post("/v1/classify", files={"file": plain("green")}, data={"labels": ", ".join(LABELS)}),
        client.post("/v1/classify", files={"image": (None, '{"id": "mine"}'), "labels": (None, ",".join(LABELS))}),
    ]
    assert {way.status_code for way in ways} == {200}
    (results,) = {json.dumps(way.json()["results"]) for way in ways}
    best = json.loads(results)[0]
    assert (best["label"], best["score"]) == ("green", pytest.approx(1, abs=1e-5))
    assert best["probability"] > 0.99


def test_probabilities_are_the_softmax_of_the_models_logits(client: TestClient) -> None:
    data = two_colours("red", "blue")
    answer = client.post("/v1/classify", files={"file": data}, data={"labels": LABELS}).json()
    results = {result["label"]: result for result in answer["results"]}
    assert answer["took_ms"] > 0
    encoder = ColourEncoder()
    scores = np.array([results[label]["score"] for label in LABELS])
    expected = np.exp(encoder.logit_scale * scores) / np.exp(encoder.logit_scale * scores).sum()
    assert [results[label]["probability"] for label in LABELS] == pytest.approx(expected.tolist(), abs=1e-5)
    assert sum(result["probability"] for result in answer["results"]) == pytest.approx(1, abs=1e-5)
    ordered = [result["probability"] for result in answer["results"]]
    assert ordered == sorted(ordered, reverse=True)


def test_a_label_stands_in_its_template(client: TestClient) -> None:
    body = {"labels": ["red", "blue"], "template": "a {} thing, not green"}
    answer = client.post("/v1/classify", files={"file": plain("red")}, data=body).json()
    assert [result["label"] for result in answer["results"]] == ["red", "blue"]
    texts = ColourEncoder().encode_texts(["a blue thing, not green"])
    score = float(texts[0] @ ColourEncoder().encode_texts(["red"])[0])
    assert answer["results"][1]["score"] == pytest.approx(score, abs=1e-5)


def test_a_large_scale_of_logits_overflows_nothing() -> None:
    texts = np.eye(3, dtype=np.float32)
    (best, *others) = verdicts(["a", "b", "c"], np.array([0, 1, 0], np.float32), texts, logit_scale=1e6)
    assert (best.label, best.probability) == ("b", 1.0)
    assert [other.probability for other in others] == [0.0, 0.0]


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"labels": LABELS}, "image"),
        ({"image": {"id": "mine"}}, "labels"),
        ({"image": {"id": "mine"}, "labels": []}, "labels"),
        ({"image": {"id": "mine"}, "labels": "red"}, "labels"),
        ({"image": {"id": "mine"}, "labels": ["red", " "]}, "labels.1"),
        ({"image": {"id": "mine"}, "labels": ["red", "blue", "red "]}, "twice"),
        ({"image": {"id": "mine"}, "labels": [str(n) for n in range(1001)]}, "1000"),
        ({"image": {"id": "mine"}, "labels": ["red"] * 5000}, "1000"),  # told before any of them is compared
        ({"image": {}, "labels": LABELS}, "one of id, base64 and url"),
        ({"image": {"id": "mine"}, "labels": LABELS, "template": "a photo"}, "{}"),
        ({"image": {"id": "mine"}, "labels": LABELS, "prompt": "a photo"}, "prompt"),
        ({"image": {"base64": "&"}, "labels": LABELS}, "base64"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_with_a_reason(client: TestClient, body: Any, word: str) -> None:
    add(client, plain("red"), name="mine")
    answer = client.post("/v1/classify", json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert word in answer.json()["detail"]


@pytest.mark.parametrize(
    ("files", "fields", "status"),
    [
        ({"file": plain("red")}, {}, 422),
        ({"file": plain("red")}, {"labels": "["}, 422),
        ({"file": plain("red")}, {"labels": ","}, 422),
        ({"file": plain("red")}, {"labels": LABELS, "image": '{"id": "mine"}'}, 422),
        ({"file": (None, "red")}, {"labels": LABELS}, 422),
        ({"file": b"text"}, {"labels": LABELS}, 415),
        ({"file": b""}, {"labels": LABELS}, 400),
        ({"image": (None, '{"id": "nobody"}')}, {"labels": LABELS}, 404),
    ],
)
def test_a_form_that_makes_no_sense_is_refused(client: TestClient, files: Any, fields: Any, status: int) -> None:
    answer = client.post("/v1/classify", files=files, data=fields)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
