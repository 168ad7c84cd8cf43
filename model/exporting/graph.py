"""Each tower as an ONNX graph, traced from torch, with the weights that torch holds."""

from __future__ import annotations

import logging
import warnings

import torch
from onnx import ModelProto
from torch import Tensor, nn

from model.clip import CLIP
from model.config import ModelConfig, TextConfig


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


def image_graph(model: CLIP, config: ModelConfig) -> ModelProto:
    """`pixels` (n, 3, S, S) → `vectors` (n, dim)."""
    size = config.vision.image_size
    batch = torch.export.Dim("batch")
    return _graph(_ImageGraph(model), {"pixels": torch.rand(2, 3, size, size)}, {"pixels": {0: batch}})


def text_graph(model: CLIP, config: ModelConfig) -> ModelProto:
    """`ids` and `mask` (n, T) → `vectors` (n, dim); T is free unless the tower reads its padding."""
    longest = config.text.context_length
    fixed = isinstance(config.text, TextConfig) and config.text.reads_padding
    tokens = longest if fixed else min(5, longest)
    free = {0: torch.export.Dim("batch")} | ({} if fixed else {1: torch.export.Dim("length", max=longest)})
    example = {
        "ids": torch.ones(2, tokens, dtype=torch.int64),
        "mask": torch.ones(2, tokens, dtype=torch.bool),
    }
    return _graph(_TextGraph(model), example, {"ids": free, "mask": free})


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
    _drop_origins(graph)
    return graph


def _drop_origins(graph: ModelProto) -> None:
    """The exporter notes at every node which lines of which file it comes from; a published graph keeps none of it."""
    del graph.metadata_props[:], graph.graph.metadata_props[:]
    for part in (*graph.graph.node, *graph.graph.value_info, *graph.graph.input, *graph.graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
