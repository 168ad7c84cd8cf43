"""Writing the files that the fast runtime loads: each tower as an ONNX graph, its weights in float16.

Matrices and kernels are stored in half precision and cast to float32 as the graph is loaded, once; every product is
float32. The graphs carry the fingerprint of the weights they were made from, so that a stale export is refused.
"""

import logging
import math
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper
from torch import Tensor, nn

from model.clip import CLIP
from model.config import ModelConfig
from model.durable import write_atomic
from model.errors import ParallaxError
from model.folder import ONNX_IMAGE, ONNX_TEXT, ModelFolder
from model.torch_runtime import read_model

_SMALL = 256
"""Tensors with fewer elements stay float32, and so do vectors: constants, biases, gains, running statistics."""

_LARGEST = 2**31 - 2**24
"""Bytes of weights that an ONNX file holds, with room for the graph itself: a protobuf message ends at 2 GiB."""


class _ImageGraph(nn.Module):
    def __init__(self, model: CLIP) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        return self.model.encode_image(pixels)


class _TextGraph(nn.Module):
    def __init__(self, model: CLIP) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.model.encode_text(ids, mask)


def export_onnx(folder: ModelFolder) -> list[Path]:
    """Write `onnx/image.onnx` and `onnx/text.onnx` into a model folder; returns their paths."""
    model = read_model(folder)
    size = folder.config.vision.image_size
    stated = {
        "fingerprint": folder.fingerprint,
        "logit_scale": repr(model.log_logit_scale.exp().item()),
        "logit_bias": repr(0.0 if model.logit_bias is None else model.logit_bias.item()),
    }
    batch = torch.export.Dim("batch")
    tokens, lengths = _text_lengths(folder.config)
    graphs = {
        ONNX_IMAGE: _graph(_ImageGraph(model), {"pixels": torch.rand(2, 3, size, size)}, {"pixels": {0: batch}}),
        ONNX_TEXT: _graph(
            _TextGraph(model),
            {"ids": torch.ones(2, tokens, dtype=torch.int64), "mask": torch.ones(2, tokens, dtype=torch.bool)},
            {"ids": {0: batch} | lengths, "mask": {0: batch} | lengths},
        ),
    }
    contents = {name: _content(name, graph, stated) for name, graph in graphs.items()}
    (folder.path / "onnx").mkdir(exist_ok=True)
    for name, content in contents.items():
        write_atomic(folder.path / name, content)
    return [folder.path / name for name in contents]


def _text_lengths(config: ModelConfig) -> tuple[int, dict[int, torch.export.Dim]]:
    """Tokens of an example text, and how many a text may have: always as many, or any number that the model reads."""
    longest = config.text.context_length
    if config.tokenization.padding == "context":
        return longest, {}
    return min(5, longest), {1: torch.export.Dim("length", max=longest)}


def _graph(module: nn.Module, inputs: dict[str, Tensor], dynamic: dict[str, dict[int, torch.export.Dim]]) -> ModelProto:
    # The exporter logs every operator of torchvision that it does without, and warns of its own internals.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module.eval(),
            (),
            kwargs=inputs,
            input_names=list(inputs),
            output_names=["vectors"],
            dynamic_shapes=dynamic,
            dynamo=True,
            verbose=False,
            optimize=False,  # the runtime optimises; weights folded here would be rounded a second time
        )
    if program is None:
        raise RuntimeError("the ONNX exporter returned no program")
    graph: ModelProto = program.model_proto
    _halve_weights(graph)
    _drop_origins(graph)
    return graph


def _content(name: str, graph: ModelProto, stated: dict[str, str]) -> bytes:
    """The file of a graph with what is stated of it."""
    if sum(len(tensor.raw_data) for tensor in graph.graph.initializer) > _LARGEST:
        raise ParallaxError(f"{name} would be larger than 2 GiB, which no ONNX file can be; torch runs the model.")
    helper.set_model_props(graph, stated)
    content: bytes = graph.SerializeToString(deterministic=True)
    onnx.checker.check_model(content)
    return content


def _drop_origins(graph: ModelProto) -> None:
    """The exporter notes at every node which lines of which file it comes from; a published graph keeps none of it."""
    del graph.metadata_props[:], graph.graph.metadata_props[:]
    for part in (*graph.graph.node, *graph.graph.value_info, *graph.graph.input, *graph.graph.output):
        del part.metadata_props[:]
        part.doc_string = ""


def _halve_weights(graph: ModelProto) -> None:
    """Store float32 initializers as float16, each with a cast behind it that the runtime folds at loading."""
    casts, kept = [], []
    for tensor in graph.graph.initializer:
        half = _half(tensor)
        if half is not None:
            casts.append(helper.make_node("Cast", [half.name], [tensor.name], to=TensorProto.FLOAT))
        kept.append(half or tensor)
    nodes = list(graph.graph.node)
    del graph.graph.initializer[:], graph.graph.node[:]
    graph.graph.initializer.extend(kept)
    graph.graph.node.extend([*casts, *nodes])


def _half(tensor: TensorProto) -> TensorProto | None:
    """A float32 tensor in float16, if that saves something and every value is in its range."""
    if tensor.data_type != TensorProto.FLOAT or len(tensor.dims) < 2 or math.prod(tensor.dims) < _SMALL:
        return None
    values = numpy_helper.to_array(tensor)
    if np.abs(values).max() > np.finfo(np.float16).max:
        return None
    return numpy_helper.from_array(values.astype(np.float16), f"{tensor.name}.half")
