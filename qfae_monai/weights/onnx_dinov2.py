"""A DINOv2 backbone inside an ONNX graph, in the layout of Hugging Face's transformers, under timm's names.

An export names what is added (biases, norms, LayerScale) after the module, but transposes what is multiplied and
leaves it without a name: matrices are known by the node that uses them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    import onnx

FRONT = "backbone.embeddings."
LAYER = re.compile(r"layer\.(\d+)/")
PRODUCTS = {"query": "q", "key": "k", "value": "v", "output/dense": "proj", "fc1": "fc1", "fc2": "fc2"}
"""Part of a node's name -> what it multiplies by."""


def check_onnx(source: str) -> None:
    """Raise ModuleNotFoundError unless `onnx` is installed; `source`: what it is to read, as an error calls it."""
    try:
        import onnx  # noqa: F401, PLC0415  needed for this alone
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{source}: expected the package onnx, which reads it, got none installed: pip install onnx adds it"
        ) from error


def read_dinov2(content: bytes, source: str) -> dict[str, Tensor]:
    """State dict of timm's network from the initialisers of an ONNX graph.

    Args:
        content: the ONNX file.
        source: how an error calls it.

    Raises:
        ModuleNotFoundError: if `onnx` is not installed.
        ValueError: if the graph is damaged or lacks a tensor of the backbone.
    """
    check_onnx(source)
    import onnx  # noqa: PLC0415  needed for this alone
    from onnx import numpy_helper  # noqa: PLC0415

    try:
        graph = onnx.load_model_from_string(content).graph
        values = {item.name: torch.from_numpy(numpy_helper.to_array(item).copy()) for item in graph.initializer}
    except Exception as error:  # protobuf's errors change their class between versions
        raise ValueError(f"{source}: expected an ONNX graph with its values, got {type(error).__name__}") from error
    try:
        return {name: value.clone().contiguous() for name, value in _convert(graph, values).items()}
    except (KeyError, RuntimeError) as error:
        raise ValueError(f"{source}: expected a DINOv2 backbone as transformers names it, lacks {error}") from None


def _convert(graph: onnx.GraphProto, values: dict[str, Tensor]) -> dict[str, Tensor]:
    matrices = _matrices(graph, values)
    state = _embedding(values)
    for layer in range(1 + max((layer for layer, _ in matrices), default=-1)):
        theirs, ours = f"backbone.encoder.layer.{layer}.", f"blocks.{layer}."
        bias = {part: values[f"{theirs}attention.attention.{part}.bias"] for part in ("query", "key", "value")}
        state[f"{ours}attn.qkv.weight"] = torch.cat([matrices[layer, part] for part in "qkv"])
        state[f"{ours}attn.qkv.bias"] = torch.cat(list(bias.values()))
        state[f"{ours}attn.proj.weight"] = matrices[layer, "proj"]
        state[f"{ours}attn.proj.bias"] = values[f"{theirs}attention.output.dense.bias"]
        for n in (1, 2):
            state[f"{ours}norm{n}.weight"] = values[f"{theirs}norm{n}.weight"]
            state[f"{ours}norm{n}.bias"] = values[f"{theirs}norm{n}.bias"]
            state[f"{ours}ls{n}.gamma"] = values[f"{theirs}layer_scale{n}.lambda1"]
            state[f"{ours}mlp.fc{n}.weight"] = matrices[layer, f"fc{n}"]
            state[f"{ours}mlp.fc{n}.bias"] = values[f"{theirs}mlp.fc{n}.bias"]
    return state


def _embedding(values: dict[str, Tensor]) -> dict[str, Tensor]:
    """Patch embedding, class token, final norm; the positions, split by the export and unnamed, are the 3D tensors."""
    parts = [value for name, value in values.items() if name.startswith("onnx::") and value.ndim == 3]
    positions = torch.cat(sorted(parts, key=lambda part: part.shape[1]), dim=1)  # (1, 1 + N, D): the class token first
    return {
        "cls_token": values[f"{FRONT}cls_token"],
        "pos_embed": positions,
        "patch_embed.proj.weight": values[f"{FRONT}patch_embeddings.projection.weight"],
        "patch_embed.proj.bias": values[f"{FRONT}patch_embeddings.projection.bias"],
        "norm.weight": values["backbone.layernorm.weight"],
        "norm.bias": values["backbone.layernorm.bias"],
    }


def _matrices(graph: onnx.GraphProto, values: dict[str, Tensor]) -> dict[tuple[int, str], Tensor]:
    """Weight (out, in) by block and part, of every product in a block whose right side is a stored matrix."""
    found = {}
    for node in graph.node:
        layer = LAYER.search(node.name)
        if node.op_type != "MatMul" or node.input[1] not in values or layer is None:
            continue
        part = next((ours for theirs, ours in PRODUCTS.items() if theirs in node.name), None)
        if part is not None:
            found[int(layer[1]), part] = values[node.input[1]].T
    return found
