"""MONAI's own exporters on a model folder: TorchScript and ONNX of the network and of the whole method."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ckpt_export, onnx_export
from torch import Tensor

from qfae_monai.model.export import read_source
from qfae_monai.model.folder import INFERENCE, NETWORK
from tests.model.export.checkpoints import PAPER_LIKE, TINY, make_model

REFUSALS = r"does not fit QFAE|loading state_dict for QFAE|key_in_ckpt"
DYNAMIC_BATCH = {
    "input_names": ["image"],
    "output_names": ["reconstruction", "anomaly_map", "score"],
    "dynamic_axes": {"image": {0: "batch"}},
    "dynamo": True,
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("export") / "model", TINY)


def run_exporter(exporter: Callable[..., None], model: Path, path: Path, net_id: str, **arguments: Any) -> None:
    """As the model card has it."""
    exporter(
        net_id=net_id,
        filepath=str(path),
        meta_file=str(model / "configs" / "metadata.json"),
        config_file=str(model / INFERENCE),
        bundle_root=str(model),
        precision="float32",
        **{"ckpt_file": str(model / NETWORK), "use_trace": True, "input_shape": [2, 1, 64, 64], **arguments},
    )


def expected_outputs(model: Path, image: Tensor) -> list[Tensor]:
    return list(read_source(model).module(image))


@pytest.mark.parametrize(("net_id", "outputs"), [("network_def", 1), ("detector_def", 3)])
def test_torchscript(model: Path, tmp_path: Path, net_id: str, outputs: int) -> None:
    run_exporter(ckpt_export, model, tmp_path / "model.ts", net_id)
    extra = {"metadata.json": "", "inference.json": ""}
    traced = torch.jit.load(tmp_path / "model.ts", _extra_files=extra)
    assert json.loads(extra["metadata.json"])["name"].startswith("Q-Former")
    assert "detector_def" in json.loads(extra["inference.json"])
    image = torch.randn(3, 1, 64, 64)
    found = traced(image)
    for one, wanted in zip(found if outputs > 1 else [found], expected_outputs(model, image)[:outputs], strict=True):
        torch.testing.assert_close(one, wanted, rtol=0, atol=1e-4)


def test_onnx_with_any_batch(model: Path, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra export is not installed")
    path = tmp_path / "model.onnx"
    run_exporter(onnx_export, model, path, "detector_def", converter_kwargs=dict(DYNAMIC_BATCH))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    image = torch.randn(3, 1, 64, 64)
    for found, wanted in zip(session.run(None, {"image": image.numpy()}), expected_outputs(model, image), strict=True):
        torch.testing.assert_close(torch.from_numpy(found), wanted, rtol=0, atol=1e-4)


@pytest.mark.parametrize("net_id", ["network_def", "detector_def"])
def test_never_random_weights(model: Path, tmp_path: Path, net_id: str) -> None:
    path = tmp_path / "model.ts"
    with pytest.raises(FileNotFoundError, match=r"none\.pt"):
        run_exporter(ckpt_export, model, path, net_id, ckpt_file=str(tmp_path / "none.pt"))
    other = make_model(tmp_path / "other", PAPER_LIKE)
    with pytest.raises((ValueError, RuntimeError), match=REFUSALS):
        run_exporter(ckpt_export, model, path, net_id, ckpt_file=str(other / NETWORK))
    assert not path.exists()
