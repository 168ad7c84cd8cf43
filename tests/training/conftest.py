from pathlib import Path

import pytest

from training.config import TrainingConfig

SAMPLE = Path(__file__).parent.parent / "data" / "sample"


def write_recipe(path: Path, *keys: str) -> Path:
    """A configuration that trains on the committed pictures in seconds, and more of its top-level keys."""
    lines = "\n".join(keys)
    path.write_text(f"""
{lines}
steps = 8
threads = 1
ema_decay = 0.9
style_weight = 0.2
checkpoint_every = 4
validate_every = 4
[data]
validation = "{SAMPLE}/validation"
cache_size = 24
early_size = 12
early_steps = 3
[[data.train]]
path = "{SAMPLE}/train"
per_batch = 32
[[data.train]]
path = "{SAMPLE}/validation"
per_batch = 8
[model]
name = "tiny"
embedding_dim = 16
[model.vision]
kind = "resnet"
image_size = 16
stem_width = 8
stage_widths = [8, 16]
stage_depths = [1, 1]
[model.text]
width = 16
layers = 1
heads = 2
vocab_size = 500
context_length = 16
[model.preprocess]
size = 16
image_mean = [0.5, 0.5, 0.5]
image_std = [0.25, 0.25, 0.25]
[optimizer]
learning_rate = 3e-3
warmup_steps = 2
""")
    return path


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A configuration that trains on the committed pictures in seconds."""
    return write_recipe(tmp_path / "tiny.toml")


@pytest.fixture
def config(recipe: Path) -> TrainingConfig:
    from training.config import read_config

    return read_config(recipe)
