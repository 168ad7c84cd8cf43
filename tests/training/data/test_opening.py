"""Whatever layout pictures and captions are kept in, they are read as they are, and what cannot be read is said."""

import json
import re
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from tests.training.data.data_sets import LAYOUTS, caption, picture, write_shards
from training.config import read_config
from training.data.bad import BadSamples, TooManyBad
from training.data.braces import expand
from training.data.drawings import load_drawings, read_examples
from training.data.example import DataError
from training.data.opening import open_data
from training.data.section import ColumnsSection
from training.data.stream import open_sources, vocabulary
from training.data.words import words
from training.evaluation.pictures import read


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_samples(layout, tmp_path):
    path = LAYOUTS[layout](tmp_path / "data", 7)
    examples = read_examples(path)
    assert [e.picture for e in examples] == [picture(number) for number in range(7)]
    assert [e.label for e in examples] == [caption(number) for number in range(7)]
    assert [e.concept for e in examples] == [caption(number) for number in range(7)]
    assert {e.style for e in examples} == {""}
    data = open_data(path)
    assert data.description
    assert data.fingerprint() == open_data(path).fingerprint()


def test_the_names_of_folders_are_classes(tmp_path):
    for number, name in enumerate(["maine_coon", "sphynx"]):
        (tmp_path / "train" / name).mkdir(parents=True)
        (tmp_path / "train" / name / "a.png").write_bytes(picture(number))
    (tmp_path / "train" / "notes.md").write_text("not a picture")
    examples = read_examples(tmp_path)
    assert [(e.label, e.picture) for e in examples] == [("maine coon", picture(0)), ("sphynx", picture(1))]
    assert "folder of classes" in open_data(tmp_path).description


def test_classes_in_parquet_have_their_names(tmp_path):
    classes = {"_type": "ClassLabel", "names": ["maine_coon", "sphynx"]}
    words = [{"dtype": "string", "_type": "Value"}]  # a list of them, as `datasets` noted it before 4.0
    features = {"image": {"_type": "Image"}, "label": classes, "words": words}
    table = pa.table(
        {"image": [{"bytes": picture(0), "path": None}, {"bytes": picture(1), "path": None}], "label": [1, 0]}
    )
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    parquet.write_table(table, tmp_path / "a.parquet")
    assert [e.label for e in read_examples(tmp_path)] == ["sphynx", "maine coon"]


def test_captions_that_differ_in_capitals_are_of_one_concept(tmp_path):
    for number, said in enumerate(("A dog", "a dog", "a cat")):
        (tmp_path / f"{number}.png").write_bytes(picture(number))
        (tmp_path / f"{number}.txt").write_text(said)
    assert [e.concept for e in read_examples(tmp_path)] == ["a dog", "a dog", "a cat"]
    assert [described.concept for described, _ in read(tmp_path, BadSamples())] == ["a dog", "a dog", "a cat"]


def test_several_captions_and_keywords_are_kept(tmp_path):
    rows = [
        {
            "image": "a.png",
            "captions": ["a dog", "a  brown dog", ""],
            "tags": "pet, brown",
            "concept": "dog",
            "style": "x",
        }
    ]
    (tmp_path / "a.png").write_bytes(picture(0))
    (tmp_path / "list.json").write_text(json.dumps(rows))
    (example,) = read_examples(tmp_path / "list.json")
    assert (example.label, example.captions) == ("a dog", ("a brown dog",))
    assert (example.tags, example.concept, example.style) == (("pet", "brown"), "dog", "x")


def test_columns_of_other_names_are_named_by_the_configuration(tmp_path):
    (tmp_path / "a.png").write_bytes(picture(0))
    (tmp_path / "t.csv").write_text("datei,beschriftung\na.png,Hund\n")
    with pytest.raises(DataError, match=r"'file_name'.*it has 'datei', 'beschriftung'.*columns\.picture"):
        open_data(tmp_path / "t.csv")
    columns = ColumnsSection(picture="datei", caption="beschriftung")
    assert [e.label for e in read_examples(tmp_path / "t.csv", columns)] == ["Hund"]
    with pytest.raises(DataError, match=r"no column 'Datei'"):
        open_data(tmp_path / "t.csv", ColumnsSection(picture="Datei"))


def test_quoted_line_ends_stay_within_their_row_across_parts(tmp_path, monkeypatch):
    monkeypatch.setattr("training.data.tables._ROWS", 3)
    (tmp_path / "a.png").write_bytes(picture(0))
    rows = [f'a.png,"no {number}\n, grün"' for number in range(10)]
    (tmp_path / "t.csv").write_text("\r\n".join(["path,caption", *rows]), "utf-8")
    data = open_data(tmp_path / "t.csv")
    assert len(data.parts) == 4
    assert [e.label for e in read_examples(tmp_path / "t.csv")] == [f"no {number} , grün" for number in range(10)]


def test_what_was_looked_for_is_said(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        open_data(tmp_path / "nothing")
    with pytest.raises(
        DataError, match=r"\*\.tar(.|\n)*captions\.json(.|\n)*a\.txt(.|\n)*\*\.parquet(.|\n)*nothing of this"
    ):
        open_data(tmp_path)
    (tmp_path / "a.png").write_bytes(picture(0))
    with pytest.raises(DataError, match="holds pictures, but no captions"):
        open_data(tmp_path)
    (tmp_path / "a.zip").write_bytes(b"")
    with pytest.raises(DataError, match=r"looked for a shard \(\.tar\)"):
        open_data(tmp_path / "a.zip")
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="not a readable Parquet file"):
        open_data(tmp_path / "a.parquet")


def test_a_shard_that_is_missing_is_named(tmp_path):
    write_shards(tmp_path, 3, 2)
    with pytest.raises(DataError, match=r"1 of 3 shards do not exist, the first of them .*00002\.tar"):
        open_data(tmp_path / "{00000..00002}.tar")


@settings(deadline=None)
@given(st.integers(0, 30), st.integers(0, 30), st.sampled_from([0, 2, 5]))
def test_braces_are_what_a_shell_makes_of_them(first, last, width):
    pattern = f"s{{{first:0{width}}..{last:0{width}}}}.{{tar,b}}"
    numbers = range(first, last + 1) if first <= last else range(first, last - 1, -1)
    assert expand(pattern) == [f"s{number:0{width}}.{end}" for number in numbers for end in ("tar", "b")]


def test_braces_that_mean_nothing_say_so():
    with pytest.raises(DataError, match=re.escape("{0-9} is neither a range")):
        expand("{0-9}.tar")
    with pytest.raises(DataError, match="more than"):
        expand("{0..9999999}.tar")


def test_bad_samples_are_named_and_left_out(tmp_path, capsys):
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(40):
        (folder / f"{number:02}.png").write_bytes(picture(number))
        (folder / f"{number:02}.txt").write_text(caption(number), "utf-8")
    (folder / "03.txt").unlink()
    (folder / "04.txt").write_bytes(b"gr\xfcn")
    (folder / "05.txt").write_text("  \n")
    (folder / "06.png").write_bytes(picture(6)[:40])
    bad = BadSamples(tmp_path / "run" / "bad_samples.jsonl", tolerated=0.1)
    examples, drawings = load_drawings(folder, 16, ColumnsSection(), bad)
    assert len(examples) == len(drawings) == 36
    assert (bad.bad, bad.tried) == (4, 40)
    assert {e.label for e in examples} == {caption(number) for number in range(40) if number not in (3, 4, 5, 6)}
    report = [json.loads(line) for line in (tmp_path / "run" / "bad_samples.jsonl").read_text().splitlines()]
    assert [line["key"] for line in report[:3]] == ["03.png", "04.png", "05.png"]
    assert ["no caption" in report[0]["reason"], "UTF-8" in report[1]["reason"]] == [True, True]
    assert caption(6) in report[3]["key"]
    assert all(line["source"] == str(folder) for line in report)
    with pytest.raises(TooManyBad, match=r"3 of 40 .*bad_share"):
        load_drawings(folder, 16, ColumnsSection(), BadSamples(None, tolerated=0.05))
    read_examples(folder, bad=BadSamples(None, 0.5))
    assert capsys.readouterr().out == ""


def test_a_report_is_gone_on_with_and_names_each_sample_once(tmp_path):
    (tmp_path / "a.csv").write_text("path,caption\nmissing.png,x\nhttps://example.org/a.png,y\n")
    for _ in range(2):
        with pytest.raises(DataError, match="no samples"):
            read_examples(tmp_path / "a.csv", bad=BadSamples(tmp_path / "bad.jsonl", tolerated=1))
    lines = (tmp_path / "bad.jsonl").read_text().splitlines()
    assert len(lines) == 2
    assert "img2dataset" in lines[1]


def test_a_shard_that_is_cut_off_gives_what_it_has(tmp_path):
    whole = write_shards(tmp_path, 30) / "00000.tar"
    data = whole.read_bytes()
    whole.write_bytes(data[: len(data) // 1024 * 512 + 100])
    bad = BadSamples(None, tolerated=0.9)
    examples = read_examples(whole, bad=bad)
    assert 10 < len(examples) < 30
    assert [e.label for e in examples] == [caption(number) for number in range(len(examples))]
    assert bad.bad == 1
    assert "not a readable shard" in bad.last
    evaluated = BadSamples(None, tolerated=0.9)
    assert [found.label for found, _ in read(whole, evaluated)] == [e.label for e in examples]
    assert evaluated.last == bad.last


def test_a_vocabulary_is_made_of_what_a_damaged_shard_has(tmp_path, recipe):
    whole = write_shards(tmp_path / "shards", 30) / "00000.tar"
    whole.write_bytes(whole.read_bytes()[:20_100])
    config = read_config(recipe, [f'data.train=[{{path="{whole}", per_batch=4}}]'])
    texts = vocabulary(config, open_sources(config.data))
    assert caption(0) in texts
    assert caption(29) not in texts


@pytest.mark.parametrize("caption", [None, "", " \n", [], [None, ""]])
def test_a_sample_without_words_is_bad(caption):
    with pytest.raises(ValueError, match="no caption"):
        words(caption)


def test_paths_of_shards_may_be_mixed(tmp_path):
    one, two = write_shards(tmp_path / "a", 4, 2), write_shards(tmp_path / "b", 3)
    data = open_data((one, Path(f"{two}/{{00000..00000}}.tar")))
    assert len(data.parts) == 3
    assert data.size() == sum(Path(part).stat().st_size for part in data.parts)


def test_parquet_tables_are_chosen_by_a_pattern(tmp_path):
    """A folder of a data set has the tables of its splits side by side."""
    for split, first in (("train", 0), ("test", 5)):
        for shard in range(2):
            numbers = range(first + 2 * shard, first + 2 * shard + 2)
            rows = {"image": [picture(n) for n in numbers], "text": [caption(n).encode() for n in numbers]}
            parquet.write_table(pa.table(rows), tmp_path / f"{split}-{shard:05}-of-00002.parquet")
    assert [e.label for e in read_examples(tmp_path / "train-*.parquet")] == [caption(n) for n in range(4)]
    named = tmp_path / "test-{00000..00001}-of-00002.parquet"
    assert [e.label for e in read_examples(named)] == [caption(n) for n in range(5, 9)]
    with pytest.raises(DataError, match=r"valid-.* matches no file"):
        open_data(tmp_path / "valid-*.parquet")
    with pytest.raises(DataError, match="looked for shards alone"):
        open_data((tmp_path / "train-*.parquet", write_shards(tmp_path / "shards", 2)))


def test_numbers_of_classes_are_no_captions(tmp_path):
    parquet.write_table(pa.table({"image": [picture(0)], "label": [3]}), tmp_path / "a.parquet")
    with pytest.raises(TooManyBad, match="its caption is the number 3"):
        read_examples(tmp_path)


def test_too_many_bad_samples_stop_the_reading_at_once(tmp_path):
    rows = "".join(f"missing/{number}.png,x\n" for number in range(3_000))
    (tmp_path / "good.png").write_bytes(picture(0))
    (tmp_path / "a.csv").write_text(f"path,caption\ngood.png,x\n{rows}")
    report = tmp_path / "bad.jsonl"
    with pytest.raises(TooManyBad, match="51 of 52 samples"):
        read_examples(tmp_path / "a.csv", bad=BadSamples(report, tolerated=0.05))
    assert len(report.read_text().splitlines()) == 51
    assert "the rest" not in report.read_text()
