"""open_clip's trainer, on a model that a file describes.

`open_clip_trainer.py write MODEL.json FOLDER` writes random weights in open_clip's folder layout;
`open_clip_trainer.py train MODEL.json ARGUMENT…` trains, with the arguments of `open_clip_train.main`.
"""

import json
import sys
from pathlib import Path

import torchvision_without_kernels  # noqa: F401  # first

import open_clip  # isort: skip
import torch  # isort: skip
from open_clip_train.main import main  # isort: skip
from safetensors.torch import save_file  # isort: skip

command, description, *rest = sys.argv[1:]
open_clip.add_model_config(description)
name = Path(description).stem
if command == "write":
    torch.manual_seed(0)
    model = open_clip.create_model(name)
    folder = Path(rest[0])
    folder.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    size = {"mean": list(open_clip.OPENAI_DATASET_MEAN), "std": list(open_clip.OPENAI_DATASET_STD)}
    config = {"model_cfg": json.loads(Path(description).read_text("utf-8")), "preprocess_cfg": size}
    (folder / "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")
else:
    main(["--model", name, *rest])
