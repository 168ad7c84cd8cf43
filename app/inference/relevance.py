"""How likely a picture is what was asked for, 0 to 1, so that one cutoff works across queries.

A cosine does not say so: what is high for one query is low for another, and pictures are nearer to pictures than to
words. So a cosine is judged together with the query's other cosines over the collection, its background, and with the
collection's size. What these are worth belongs to the model, whose folder brings it (`model/calibration.py`).
"""

from __future__ import annotations

from app.inference.lane import Encoder
from model.calibration import Judge, Uncalibrated

BACKGROUND = 1000
"""Pictures whose cosines make a background; of a larger collection, a sample that is the same for the next page."""


def judge_of(encoder: Encoder) -> Judge:
    """That of its model folder, or a cautious one."""
    own: Judge | None = getattr(encoder, "calibration", None)
    return Uncalibrated(encoder.logit_scale, encoder.logit_bias) if own is None else own
