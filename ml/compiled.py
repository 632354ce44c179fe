"""A network's backbone as a graph that ONNX Runtime answers with: faster on a CPU than torch, and without loading it.

A graph holds no weights. They stay in the bundle's `weights.safetensors` alone, and are put into the graph when it is
opened, so that a bundle with graphs is hardly larger than one without, and both give the same answers.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ml.architectures import build_model
from ml.bundle import Bundle, graph_name
from ml.card import Card
from ml.errors import BundleError
from ml.runtime import Answers, Head, Runtime, TorchRuntime, full_precision, load_arrays

if TYPE_CHECKING:
    import onnxruntime
    from onnx import GraphProto, ModelProto, NodeProto
    from torch.nn import Module

INPUT, OUTPUT = "images", "maps"
BACKBONE = "backbone."
"""What the names of the weights of a network's backbone begin with."""
OPSET = 18
TOLERANCE = 1e-3
"""How far a feature map may lie from torch's own: both are single precision, in other orders."""
AT_ONCE = 4
"""Pictures that one pass takes: more cost memory that the engine keeps, and save no time."""


def open_runtime(bundle: Bundle, device: str = "cpu") -> Runtime:
    """What a network of a bundle runs on: the compiled graph on a CPU where there is one, torch otherwise.

    Raises BundleError where weights, graph and card do not fit.
    """
    if device != "cpu" or not bundle.has_graph():
        return TorchRuntime(bundle, device)
    return CompiledRuntime(bundle, bundle.path / graph_name(bundle.prefix))


class CompiledRuntime:
    """ONNX Runtime on the CPU, on one thread for each caller; safe to share between threads."""

    compiled = True

    def __init__(self, bundle: Bundle, graph: Path):
        weights = load_arrays(bundle)
        unfit = BundleError(f"The weights of '{bundle.card.name}' do not fit its card; train it again.")
        try:
            self._session = _session(graph, weights)
            self._head = Head.of(weights)
            maps, side = self._session.get_outputs()[0].shape, self._session.get_inputs()[0].shape[2]
        except MemoryError:
            raise
        except Exception as error:  # those of onnx and of its engine share no class
            raise unfit from error
        classes, width = len(bundle.card.classes), self._head.weight1.shape[1]
        if self._head.weight2.shape[0] != classes or maps[1] != width or side != bundle.card.image_size:
            raise unfit

    def run(self, batch: NDArray[np.float32], *, maps: bool = False) -> Answers:
        """[B, 3, S, S] -> the network's answers, with its last feature maps if asked for."""
        parts = [batch[start : start + AT_ONCE] for start in range(0, len(batch), AT_ONCE)]
        last = np.concatenate([self._session.run([OUTPUT], {INPUT: part})[0] for part in parts])
        features = last.mean(axis=(2, 3), dtype=np.float32)
        return Answers(self._head.logits(features), features, last if maps else None)

    def head(self) -> Head:
        """The weights of the head, for what can be computed from features alone."""
        return self._head


def compile_network(card: Card, weights: Mapping[str, NDArray[Any]]) -> bytes:
    """The graph of a network's backbone, [B, 3, S, S] -> feature maps [B, D, h, w], without its weights.

    `weights` by name, in single precision, as they are served. Filled with them it is compared with torch's answer
    before it is returned. Raises BundleError where the two differ.
    """
    import torch

    network = build_model(card.architecture, len(card.classes), card.image_size).eval()
    network.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()}, strict=True)
    model = _exported(network.backbone, card.image_size)
    _simplify(model.graph)
    known = {name.removeprefix(BACKBONE) for name in weights if name.startswith(BACKBONE)}
    for tensor in model.graph.initializer:
        if tensor.name in known:
            tensor.ClearField("raw_data")
            _mark_missing(tensor)
    content = bytes(model.SerializeToString())
    pictures = np.random.default_rng(0).normal(size=(3, 3, card.image_size, card.image_size)).astype(np.float32)
    with torch.inference_mode(), full_precision():
        own = network.backbone(torch.from_numpy(pictures)).numpy()
    if not np.allclose(_opened(_filled(content, weights)).run([OUTPUT], {INPUT: pictures})[0], own, atol=TOLERANCE):
        raise BundleError(
            f"The compiled graph of '{card.name}' answers otherwise than the network itself. "
            "Install the pinned releases of torch and onnx again, or train with --no-compile."
        )
    return content


def compile_bundle(bundle: Bundle) -> dict[str, bytes]:
    """The graph of each network of a bundle, by the name of its file (see `compile_network`)."""
    return {graph_name(own.prefix): compile_network(own.card, load_arrays(own)) for own in bundle.networks()}


def _exported(backbone: Module, size: int) -> ModelProto:
    """The backbone as torch exports it: with names of weights as in the bundle, nothing folded, no notes."""
    import onnx
    import torch

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's notes to its own developers
        path = Path(folder) / "graph.onnx"
        torch.onnx.export(
            backbone,
            # Two pictures: with one, the exporter would take the length of the batch for a constant.
            (torch.zeros(2, 3, size, size),),
            path,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            opset_version=OPSET,
            external_data=False,
            dynamo=True,
            optimize=False,  # folded weights would no longer have the names that they have in the bundle
            verbose=False,
        )
        model = onnx.load(path)
    for node in model.graph.node:
        node.ClearField("metadata_props")  # where in whose source the node came from
        node.ClearField("doc_string")
    model.graph.ClearField("value_info")
    model.graph.ClearField("metadata_props")
    model.ClearField("metadata_props")
    return model


def _simplify(graph: GraphProto) -> None:
    """Leave out what keeps the engine from joining a convolution with what stands before and after it.

    The exporter pads pictures in a step of its own, gives convolutions without a bias one of zeros that it computes
    anew each time, and does so with the bounds of what is clipped. That nothing else was left out is seen when answers
    are compared.
    """
    made = {output: node for node in graph.node for output in node.output}
    for node in graph.node:
        if node.op_type == "Clip":
            for at in range(1, len(node.input)):
                bound = made.get(node.input[at])
                if bound is not None and bound.op_type == "CastLike":
                    node.input[at] = bound.input[0]
        if node.op_type == "Conv":
            if len(node.input) == 3 and _is_zero(made.get(node.input[2]), made):
                del node.input[2]
            before = made.get(node.input[0])
            if before is not None and before.op_type == "Pad":
                _take_over(node, before, made)
    wanted, kept = {output.name for output in graph.output}, []
    for node in reversed(graph.node):
        if wanted & set(node.output):
            wanted |= set(node.input)
            kept.append(node)
    del graph.node[:]
    graph.node.extend(reversed(kept))


def _is_zero(node: NodeProto | None, made: Mapping[str, NodeProto]) -> bool:
    """Whether what a node gives is a constant zero, whatever its type and shape."""
    from onnx import numpy_helper

    while node is not None and node.op_type in ("Cast", "CastLike", "Expand"):
        node = made.get(node.input[0])
    return node is not None and node.op_type == "Constant" and not numpy_helper.to_array(node.attribute[0].t).any()


def _take_over(convolution: NodeProto, padding: NodeProto, made: Mapping[str, NodeProto]) -> None:
    """Have a convolution pad with zeros by itself what was padded before it."""
    from onnx import helper, numpy_helper

    around = numpy_helper.to_array(made[padding.input[1]].attribute[0].t).reshape(2, 4)  # before and after each axis
    own = next((attribute for attribute in convolution.attribute if attribute.name == "pads"), None)
    pads = np.zeros(4, np.int64) if own is None else np.array(own.ints)
    if own is not None:
        convolution.attribute.remove(own)
    convolution.attribute.append(helper.make_attribute("pads", (pads + around[:, 2:].ravel()).tolist()))
    convolution.input[0] = padding.input[0]


def _mark_missing(tensor: Any) -> None:
    from onnx import TensorProto

    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "weights.safetensors"


def _session(path: Path, weights: Mapping[str, NDArray[Any]]) -> onnxruntime.InferenceSession:
    return _opened(_filled(path.read_bytes(), weights))


def _filled(graph: bytes, weights: Mapping[str, NDArray[Any]]) -> bytes:
    """A graph with its weights in it. Raises KeyError or ValueError where they do not fit it."""
    import onnx

    model = onnx.load_model_from_string(graph)
    missing = [tensor for tensor in model.graph.initializer if tensor.data_location == onnx.TensorProto.EXTERNAL]
    taken = {BACKBONE + tensor.name for tensor in missing}
    # A counter of training steps is kept with the weights and is no part of the answer.
    left = [n for n in weights if n.startswith(BACKBONE) and n not in taken and not n.endswith("num_batches_tracked")]
    if left:
        raise ValueError(f"the graph has no place for {left[0]}")
    for tensor in missing:
        value = weights[BACKBONE + tensor.name]
        if tuple(tensor.dims) != value.shape:
            raise ValueError(f"{tensor.name} has another shape in the graph")
        tensor.ClearField("external_data")
        tensor.data_location = onnx.TensorProto.DEFAULT
        tensor.raw_data = np.ascontiguousarray(value, "<f4").tobytes()
    return bytes(model.SerializeToString())


def _opened(content: bytes) -> onnxruntime.InferenceSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
