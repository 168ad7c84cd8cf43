"""An evaluation says of a model what a person would find with it, slice by slice."""

import io
import json
import re
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from model import load
from model.shards import Sample, ShardWriter
from tests.training.evaluation.test_command import SHIPPED
from training.data.bad import TooManyBad
from training.data.example import DataError
from training.evaluation.evaluate import LanguageError, evaluate, measure, query
from training.evaluation.sheet import BEST, WORST, contact_sheet
from training.evaluation.zero_shot import TemplateError, class_vectors, read_templates

DIM = 8


class Planned:
    """An encoder whose vectors are as written: a picture's by its colour, a text's by its words."""

    name, fingerprint = "<planned>", "0"

    def __init__(self, texts: dict[str, Sequence[float]]) -> None:
        self._texts = texts

    def preprocess(self, image):
        return np.asarray(image, dtype=np.float32)[0, 0]

    def encode_pixels(self, rows):
        return np.stack([np.eye(DIM, dtype=np.float32)[int(row[0])] for row in rows]) if rows else np.empty((0, DIM))

    def encode_texts(self, texts):
        vectors = np.zeros((len(texts), DIM), dtype=np.float32)
        for row, text in enumerate(texts):
            planned = self._texts[text]
            vectors[row, : len(planned)] = planned
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def png(place: int) -> bytes:
    """A picture whose vector is one in this place and zero elsewhere."""
    out = io.BytesIO()
    Image.new("RGB", (4, 4), (place, 0, 0)).save(out, "PNG")
    return out.getvalue()


def write(folder, *pictures: tuple[int, str, dict]) -> None:
    with ShardWriter(folder / "00000.tar") as shard:
        for number, (place, label, metadata) in enumerate(pictures):
            shard.write(Sample(f"{number:03}", png(place), "png", label, {"metadata": metadata}))


def test_pictures_with_several_captions_are_measured_as_coco_is(tmp_path):
    """Each caption is a query for its picture; a picture has found a text when it has found any of its captions."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.png").write_bytes(png("ab".index(name)))
    captions = [(1, "a cat"), (1, "a tom"), (2, "a dog"), (2, "a hound")]
    listing = {
        "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
        "annotations": [{"image_id": image, "caption": text} for image, text in captions],
    }
    (tmp_path / "captions.json").write_text(json.dumps(listing))
    encoder = Planned({"a cat": [1, 0], "a tom": [1, 2], "a dog": [1, 3], "a hound": [3, 1]})
    (result,) = evaluate(encoder, tmp_path / "captions.json").values()
    assert result["text_to_picture"]["queries"] == 4
    assert result["text_to_picture"]["R@1"] == 0.5, "the tom finds the dog, and the hound the cat"
    assert result["picture_to_text"]["queries"] == 2
    assert result["picture_to_text"]["R@1"] == 1.0, "one right caption in front is enough"
    assert result["picture_to_text"]["MAP@10"] == pytest.approx((1 + 2 / 3) / 2), "its second is third"
    assert "zero_shot" not in result, "sentences are no classes"


ENGLISH = {"sun": [3, 1], "moon": [1, 3], "flag Peru": [0, 2, 1]}
GERMAN = {"Sonne": [0, 1], "Mond": [0, 1]}


@pytest.fixture
def split(tmp_path):
    sun, moon = ({"de": word, "fr": ""} for word in GERMAN)
    write(
        tmp_path,
        (0, "sun", {"concept": "1", "source": "plain", "group": "sky", "labels": sun}),
        (1, "moon", {"concept": "2", "source": "plain", "group": "sky", "labels": moon}),
        (2, "flag: Peru", {"concept": "3", "source": "plain", "group": "flags"}),
        (3, "sun", {"concept": "1", "source": "dotted", "group": "sky", "labels": sun}),
    )
    return tmp_path


def test_slices_by_style_group_and_language(split):
    (measured,) = measure(Planned(ENGLISH | GERMAN), split, templates=["{}"]).values()
    result = measured.result
    assert (result["pictures"], result["concepts"]) == (4, 3)
    assert result["text_to_picture"]["R@1"] == pytest.approx(2 / 3), "the flag finds the moon"
    assert set(result["styles"]) == {"plain", "dotted"}
    assert result["styles"]["dotted"]["text_to_picture"]["R@1"] == 1.0, "it is the only one drawn so"
    assert result["groups"]["sky"]["text_to_picture"]["R@1"] == 1.0
    flags = result["groups"]["flags"]["text_to_picture"]
    assert (flags["queries"], flags["R@1"], flags["mean_rank"]) == (1, 0.0, 2.0), "it looks among all pictures"
    assert flags["intervals"]["MAP@10"] == (0.5, 0.5)
    assert list(result["languages"]) == ["de"], "an empty label is none"
    german = result["languages"]["de"]
    assert (german["concepts"], german["pictures"], german["text_to_picture"]["queries"]) == (2, 3, 2)
    assert german["text_to_picture"]["R@1"] == 0.5, "both words mean the moon to this model"
    assert german["picture_to_text"]["R@1"] == 0.0, "to the moon they are equal, to the sun they say nothing"


def test_languages_are_asked_for_by_code(split):
    (measured,) = measure(Planned(ENGLISH | GERMAN), split, templates=["{}"], languages=["de"]).values()
    assert list(measured.result["languages"]) == ["de"]
    with pytest.raises(LanguageError, match=r"no picture in .* has a label in 'xx'; there are \['de'\]"):
        measure(Planned(ENGLISH | GERMAN), split, templates=["{}"], languages=["de", "xx"])


def test_a_class_is_the_mean_of_its_templates_at_unit_length(split):
    texts = {"a sun": [1, 0], "sun!": [0, 1], "a moon": [0, 1], "moon!": [0, 1], "a flag Peru": [1], "flag Peru!": [1]}
    vectors = class_vectors(Planned(texts), ["sun", "moon"], ["a {}", "{}!"])
    np.testing.assert_allclose(vectors[:, :2], [[0.5**0.5, 0.5**0.5], [0, 1]], atol=1e-6)
    (measured,) = measure(Planned(texts | ENGLISH | GERMAN), split, templates=["a {}", "{}!"]).values()
    said = measured.result["zero_shot"]
    assert (said["classes"], said["templates"]) == (3, ["a {}", "{}!"])
    assert said["top-1"] == 0.25, "the moon alone; the sun is taken for the flag, the others for nothing"
    assert said["top-5"] == 1.0


def test_folders_of_pictures_are_classes(tmp_path):
    for place, name in enumerate(("red_fox", "owl")):
        (tmp_path / name).mkdir()
        for number in range(3):
            (tmp_path / name / f"{number}.png").write_bytes(png(place))
    (measured,) = measure(Planned({"red fox": [2, 1], "owl": [1, 2]}), tmp_path, templates=["{}"]).values()
    assert measured.result["zero_shot"]["top-1"] == 1.0
    assert measured.result["zero_shot"]["classes"] == 2
    assert measured.result["text_to_picture"]["MAP@10"] == 1.0


@pytest.mark.parametrize("content", ["a photo", "{} and {}", "", "{}\na photo\n"])
def test_templates_that_have_no_place_for_the_name_are_refused(tmp_path, content):
    (tmp_path / "t.txt").write_text(content)
    with pytest.raises(TemplateError, match="one template a line"):
        read_templates(tmp_path / "t.txt")


def test_templates_are_read(tmp_path):
    (tmp_path / "t.txt").write_text("a {}\n\n the {}.\n")
    assert read_templates(tmp_path / "t.txt") == ("a {}", "the {}.")


def test_a_label_is_asked_for_as_it_is_typed():
    assert query("flag: Japan") == "flag Japan"
    assert query("旗：日本") == "旗 日本"


def test_pictures_that_cannot_be_read_are_not_passed_over_in_silence(tmp_path):
    write(tmp_path, (0, "sun", {}), (1, "moon", {}))
    with ShardWriter(tmp_path / "00001.tar") as shard:
        shard.write(Sample("x", b"no picture", "png", "moon", {}))
    with pytest.raises(TooManyBad, match="1 of 3 samples"):
        measure(Planned(ENGLISH), tmp_path, templates=["{}"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds nothing of this"):
        measure(Planned(ENGLISH), tmp_path / "empty")


def test_a_picture_that_is_listed_twice_is_shown_twice(tmp_path):
    for number, name in enumerate(["a.png", "b.png"]):
        Image.new("RGB", (8, 8), (number * 200, 0, 0)).save(tmp_path / name)
    rows = [("a.png", "sun"), ("a.png", "star"), ("b.png", "moon")]
    said = [{"file_name": name, "caption": caption} for name, caption in rows]
    (tmp_path / "captions.json").write_text(json.dumps(said))
    encoder = load(SHIPPED)
    page = contact_sheet(encoder, measure(encoder, tmp_path, templates=["{}"]))
    assert page.count("data:image/webp;base64,") >= 3


def test_the_contact_sheet_is_whole_by_itself_and_shows_the_worst_first(tmp_path):
    texts = {f"<b>{n}</b> & co": np.eye(DIM)[(n + (n > 4)) % DIM] + 0.01 * n for n in range(DIM)}
    write(tmp_path, *((n, label, {"source": f"style {n % 2}"}) for n, label in enumerate(texts)))
    measured = measure(Planned(texts), tmp_path, templates=["{}"])
    page = contact_sheet(Planned(texts), measured)
    assert not re.search(r"(src|href)=\"(?!data:image/webp;base64,|#)", page), "nothing is fetched from anywhere"
    assert "<b>0</b>" not in page
    assert "&lt;b&gt;5&lt;/b&gt; &amp; co" in page
    assert "<planned>" not in page
    ranks = [int(rank) for rank in re.findall(r"rank (\d+)</span>", page.split("The worst")[1].split("The best")[0])]
    assert len(ranks) == 3 <= WORST
    assert ranks == sorted(ranks, reverse=True)
    assert ranks[-1] > 1
    best = page.split("The best")[1].split("Picture → text")[0]
    assert best.count("data-first") == 5 <= BEST
    assert best.count('<figure class="right">') == 5
    assert "asked for" not in best, "what is in front needs no showing again"
