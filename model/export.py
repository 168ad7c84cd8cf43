"""Writing the files that the fast runtime loads: each tower as an ONNX graph, its weights in float16.

Weights are stored in half precision and cast to float32 as the graph is loaded, once; every product is float32. The
graphs carry the fingerprint of the weights they were made from, so that a stale export is refused.
"""

import logging
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper
from torch import Tensor, nn

from model.clip import CLIP
from model.durable import write_atomic
from model.folder import ONNX_IMAGE, ONNX_TEXT, ModelFolder
from model.torch_runtime import read_model

_SMALL = 256
"""Tensors with fewer elements stay float32: they are shapes, constants and biases, and save nothing."""


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
        "logit_bias": repr(0.0),
    }
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length", max=folder.config.text.context_length)
    graphs = {
        ONNX_IMAGE: _graph(_ImageGraph(model), {"pixels": torch.rand(2, 3, size, size)}, {"pixels": {0: batch}}),
        ONNX_TEXT: _graph(
            _TextGraph(model),
            {"ids": torch.ones(2, 5, dtype=torch.int64), "mask": torch.ones(2, 5, dtype=torch.bool)},
            {"ids": {0: batch, 1: length}, "mask": {0: batch, 1: length}},
        ),
    }
    (folder.path / "onnx").mkdir(exist_ok=True)
    paths = []
    for name, graph in graphs.items():
        _halve_weights(graph)
        _drop_origins(graph)
        helper.set_model_props(graph, stated)
        onnx.checker.check_model(graph)
        write_atomic(folder.path / name, graph.SerializeToString(deterministic=True))
        paths.append(folder.path / name)
    return paths


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
    # Through bytes: the program's own proto shares memory with the module's parameters.
    return onnx.load_model_from_string(program.model_proto.SerializeToString())


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
        if tensor.data_type == TensorProto.FLOAT and np.prod(tensor.dims) >= _SMALL:
            half = numpy_helper.to_array(tensor).astype(np.float16)
            kept.append(numpy_helper.from_array(half, f"{tensor.name}.half"))
            casts.append(helper.make_node("Cast", [f"{tensor.name}.half"], [tensor.name], to=TensorProto.FLOAT))
        else:
            kept.append(tensor)
    nodes = list(graph.graph.node)
    del graph.graph.initializer[:], graph.graph.node[:]
    graph.graph.initializer.extend(kept)
    graph.graph.node.extend([*casts, *nodes])
