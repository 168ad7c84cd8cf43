"""Texts are cleaned as when the model was trained, whatever page or keyboard they come from."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import SiglipTokenizer

from model.cleaning import CLEANINGS, canonical, clip, clip_canonical
from tests.model.strings import strings


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("A  Photo\tof\n a DOG ", "a photo of a dog"),
        ("schÃ¶n", "schön"),  # UTF-8 that was read as Latin-1
        ("Ben &amp; Jerry&#39;s", "ben & jerry's"),
        ("a &amp;amp;lt; b", "a < b"),
        ("<b>a &amp;lt; b</b>", "<b>a < b</b>"),
        ("<b>a &amp;amp;lt; b</b>", "<b>a &lt; b</b>"),  # among tags ftfy leaves the escapes, and CLIP takes two off
        ("“smart” ‘quotes’ ﬁne", "\"smart\" 'quotes' fine"),
        ("ｗｉｄｅ", "wide"),
        ("\x00\x07bell\ufeff", "bell"),
        ("", ""),
        ("\u3000\x1c", ""),
        ("\x85", "…"),  # in Windows' code page
    ],
)
def test_clip_repairs_what_the_web_does_to_texts(text, cleaned):
    assert clip(text) == cleaned


@pytest.mark.parametrize(
    ("text", "cleaned", "open_clips"),
    [
        ("A photo, of a DOG!", "a photo of a dog", "a photo of a dog"),
        ("snake_case", "snakecase", "snake case"),
        ("rock'n'roll - 50%", "rocknroll 50", "rocknroll 50"),
        ("Ben &amp; Jerry", "ben amp jerry", "ben jerry"),
        ("«Straße»…", "«straße»…", "«straße»…"),
        ("ΑΣ-Α", "αςα", "ασα"),
        (" \t ", "", ""),
    ],
)
def test_siglips_canonical_form(text, cleaned, open_clips):
    assert canonical(text) == cleaned
    assert clip_canonical(text) == open_clips


def test_the_canonical_form_is_that_of_transformers():
    reference = object.__new__(SiglipTokenizer)
    reference.do_lower_case = True
    texts = strings()
    assert [canonical(text) for text in texts] == [reference.canonicalize_text(text) for text in texts]


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_cleaning_ends_in_one_line_without_spaces_around_it(text):
    for name in ("clip", "canonical", "clip_canonical"):
        cleaned = CLEANINGS[name](text)
        assert cleaned == " ".join(cleaned.split())
    assert CLEANINGS["none"](text) == text
    assert CLEANINGS["lower"](text) == text.lower()
