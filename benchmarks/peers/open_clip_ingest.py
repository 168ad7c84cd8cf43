"""open_clip with Pillow in a plain loop, in a process of its own: files of pictures to vectors.

`open_clip_ingest.py FOLDER`: FOLDER is open_clip's. A line is JSON, `{"pictures": [paths], "batch": n}`; the answer is
the seconds it took, from the files to the vectors.
"""

import json
import os
import sys
import time

import torchvision_without_kernels  # noqa: F401  # first

import open_clip  # isort: skip
import torch  # isort: skip
from PIL import Image  # isort: skip


def main():
    answers = os.fdopen(os.dup(1), "w")  # what libraries print is not an answer
    os.dup2(2, 1)
    model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{sys.argv[1]}")
    model.eval()
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        paths, size = asked["pictures"], asked["batch"]
        began = time.perf_counter()
        with torch.inference_mode():
            for start in range(0, len(paths), size):
                rows = [preprocess(Image.open(path)) for path in paths[start : start + size]]
                model.encode_image(torch.stack(rows), normalize=True).numpy()
        print(time.perf_counter() - began, file=answers, flush=True)


main()
