"""The page on training lists every key of a recipe, as it is."""

from tests.training.config_table import shown, table


def test_the_page_lists_every_key():
    assert shown() == table(), "python -m tests.training.config_table writes it anew"
