"""A hand-made ONNX graph that stands for a detector: the map is the image's absolute value, the score its maximum."""

from __future__ import annotations

from pathlib import Path

import pytest

from qfae_monai.anomaly.detector import RECORD_KEY, GraphRecord

onnx = pytest.importorskip("onnx", reason="the extra export is not installed")
pytest.importorskip("onnxruntime", reason="the extra export is not installed")
helper, TensorProto = onnx.helper, onnx.TensorProto

RECORD = GraphRecord(
    graph="detector", image_size=16, checkpoint_sha256="ab" * 32, version="0", settings={"model::metric": "l2"}
)


def write_detector(path: Path, record: GraphRecord | None = RECORD) -> Path:
    shapes: dict[str, list[str | int]] = {
        "image": ["b", 1, 16, 16],
        "reconstruction": ["b", 3, 16, 16],
        "anomaly_map": ["b", 1, 16, 16],
        "score": ["b"],
    }
    values = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()}
    nodes = [
        helper.make_node("Concat", ["image"] * 3, ["reconstruction"], axis=1),
        helper.make_node("Abs", ["image"], ["anomaly_map"]),
        helper.make_node("ReduceMax", ["anomaly_map", "axes"], ["score"], keepdims=0),
    ]
    axes = helper.make_tensor("axes", TensorProto.INT64, [3], [1, 2, 3])
    outputs = [values[name] for name in ("reconstruction", "anomaly_map", "score")]
    graph = helper.make_graph(nodes, "stand-in", [values["image"]], outputs, [axes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    if record is not None:
        helper.set_model_props(model, {RECORD_KEY: record.to_json()})
    onnx.save(model, path)
    return path
