"""One side of `benchmarks.encode`, in a process of its own: loads the model its way, then does what each line asks.

`encoding_side.py SIDE FOLDER`: FOLDER holds the model (`ours`, `open_clip`, `image.onnx`) and its `pixels.npy`.
A line is JSON: `{"image": [start, end]}` or `{"text": "words"}`; the answer is the seconds it took, and `"to"` names a
file for the vectors.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np


def open_clip_side(folder, bfloat16):
    import torchvision_without_kernels  # noqa: F401  # first

    import open_clip  # isort: skip
    import torch  # isort: skip

    model, _ = open_clip.create_model_from_pretrained(f"local-dir:{folder / 'open_clip'}")
    model.eval()
    tokenizer = open_clip.get_tokenizer("ViT-B-32")
    if bfloat16:
        model.to(torch.bfloat16)

    def image(pixels):
        with torch.inference_mode():
            given = torch.from_numpy(pixels)
            vectors = model.encode_image(given.bfloat16() if bfloat16 else given, normalize=True)
            return vectors.float().numpy()

    def text(words):
        with torch.inference_mode():
            return model.encode_text(tokenizer([words]), normalize=True).float().numpy()

    return image, text


def onnxruntime_side(folder, int8):
    import onnxruntime

    path = folder / "image.onnx"
    if int8:
        from onnxruntime.quantization import QuantType, quantize_dynamic

        options = onnxruntime.SessionOptions()  # its own advice: optimise first
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(folder / "optimised.onnx")
        onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        path = folder / "int8.onnx"
        quantize_dynamic(folder / "optimised.onnx", path, per_channel=True, weight_type=QuantType.QInt8)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda pixels: session.run(None, {"pixels": pixels})[0], None


def openvino_side(folder):
    import openvino

    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "bf16"}
    model = openvino.Core().compile_model(folder / "image.onnx", "CPU", settings)
    return lambda pixels: model({"pixels": pixels})["vectors"], None


def our_side(folder):
    from model import load

    encoder = load(folder / "ours", "onnx")
    return lambda pixels: encoder.encode_pixels(list(pixels)), lambda words: encoder.encode_texts([words])


SIDES = {
    "open_clip": lambda folder: open_clip_side(folder, bfloat16=False),
    "torch bfloat16": lambda folder: open_clip_side(folder, bfloat16=True),
    "ONNX Runtime float32": lambda folder: onnxruntime_side(folder, int8=False),
    "ONNX Runtime int8": lambda folder: onnxruntime_side(folder, int8=True),
    "OpenVINO bfloat16": openvino_side,
    "ours": our_side,
}


def main():
    side, folder = sys.argv[1], Path(sys.argv[2])
    answers = os.fdopen(os.dup(1), "w")  # what libraries print is not an answer
    os.dup2(2, 1)
    image, text = SIDES[side](folder)
    pixels = np.load(folder / "pixels.npy", mmap_mode="r")
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        if "text" in asked:
            began = time.perf_counter()
            vectors = text(asked["text"])
        else:
            start, end = asked["image"]
            rows = np.array(pixels[start:end])
            began = time.perf_counter()
            vectors = image(rows)
        seconds = time.perf_counter() - began
        if "to" in asked:
            np.save(asked["to"], vectors)
        print(seconds, file=answers, flush=True)


main()
