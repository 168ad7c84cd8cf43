"""How the weights of a graph are stored: matrices of linear maps in int8, or all that is large in float16."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from model.errors import ParallaxError
from model.precision import Precision

_SMALL = 256
"""Tensors with fewer elements stay float32, and so do vectors: constants, biases, gains, running statistics."""

_LARGEST = 2**31 - 2**24
"""Bytes of weights that an ONNX file holds, with room for the graph itself: a protobuf message ends at 2 GiB."""

_WHOLE = ("image_projection.", "text_projection.")
"""Not quantised: the last map of all costs next to nothing, and its error is the vector's."""


def file_of(name: str, graph: ModelProto, precision: Precision, stated: Mapping[str, str]) -> bytes:
    """The content of the file of a graph, with its weights as the precision wants them and with what is stated of it.

    Raises ParallaxError if no file can hold it.
    """
    stored = ModelProto()
    stored.CopyFrom(graph)
    if precision.group:
        _quantise(stored, (*_WHOLE, *precision.whole))
    _halve(stored)
    if sum(len(tensor.raw_data) for tensor in stored.graph.initializer) > _LARGEST:
        raise ParallaxError(f"{name} would be larger than 2 GiB, which no ONNX file can be; torch runs the model.")
    helper.set_model_props(stored, {**stated, "precision": precision.name})
    content: bytes = stored.SerializeToString(deterministic=True)
    onnx.checker.check_model(content)
    return content


def _quantise(graph: ModelProto, whole: Sequence[str]) -> None:
    """Store the weights of linear maps in int8, one scale an output, but those with `whole` names.

    A linear map is Transpose of a weight (out, in), then MatMul. It becomes DequantizeLinear, then MatMul, which the
    runtime takes for a product with an int8 matrix.
    """
    weights = {tensor.name: tensor for tensor in graph.graph.initializer if _is_matrix(tensor, whole)}
    multiplied = {node.input[1] for node in graph.graph.node if node.op_type == "MatMul"}
    nodes: list[NodeProto] = []
    quantised: dict[str, list[TensorProto]] = {}
    for node in graph.graph.node:
        if node.op_type == "Transpose" and node.input[0] in weights and node.output[0] in multiplied:
            name = node.input[0]
            quantised[name] = list(_in_int8(weights[name]))
            names = [tensor.name for tensor in quantised[name]]
            nodes.append(helper.make_node("DequantizeLinear", names, [node.output[0]], axis=1))
        else:
            nodes.append(node)
    kept = [tensor for tensor in graph.graph.initializer if tensor.name not in quantised]
    del graph.graph.initializer[:], graph.graph.node[:]
    graph.graph.initializer.extend([*kept, *(tensor for made in quantised.values() for tensor in made)])
    graph.graph.node.extend(nodes)


def _is_matrix(tensor: TensorProto, whole: Sequence[str]) -> bool:
    matrix = tensor.data_type == TensorProto.FLOAT and len(tensor.dims) == 2
    return matrix and not any(part in tensor.name for part in whole)


def _in_int8(weight: TensorProto) -> tuple[TensorProto, TensorProto]:
    """A weight (out, in) as int8 (in, out), from -127 to 127, and the scale of each output."""
    values = numpy_helper.to_array(weight)
    largest = np.abs(values).max(axis=1)  # (out,)
    scales = np.where(largest > 0, largest / np.float32(127), np.float32(1)).astype(np.float32)
    whole = np.rint(values / scales[:, None]).clip(-127, 127).astype(np.int8)
    return (
        numpy_helper.from_array(np.ascontiguousarray(whole.T), f"{weight.name}.int8"),
        numpy_helper.from_array(scales, f"{weight.name}.scales"),
    )


def _halve(graph: ModelProto) -> None:
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
