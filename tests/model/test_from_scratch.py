"""The Transformer is this house's own, and short enough to be read in one sitting."""

import re
from pathlib import Path

MODEL = Path(__file__).parents[2] / "model"


def test_no_part_of_a_transformer_is_torchs():
    """But for the one fused kernel, which has its definition beside it and a test that both are equal."""
    taken = [
        (file.name, name)
        for file in sorted(MODEL.rglob("*.py"))
        for name in re.findall(
            r"\b(?:nn|functional|F)\.(Transformer\w*|MultiheadAttention|multi_head_attention\w*|scaled_dot\w*)\(",
            file.read_text(encoding="utf-8"),
        )
    ]
    assert taken == [("transformer.py", "scaled_dot_product_attention")]


def test_the_transformer_is_read_in_one_sitting():
    assert len((MODEL / "transformer.py").read_text(encoding="utf-8").splitlines()) <= 350
