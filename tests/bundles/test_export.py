"""MONAI's own exporters on the bundle: TorchScript and ONNX of the network and of the whole method."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from monai.bundle import ckpt_export, onnx_export
from torch import Tensor

from qfae_monai.export import read_source
from tests.bundles.conftest import BUNDLE, CONFIGS, config
from tests.export.checkpoints import PAPER_LIKE, TINY, make_checkpoint

REFUSALS = r"does not fit QFAE|loading state_dict for QFAE|key_in_ckpt"
DYNAMIC_BATCH = {
    "input_names": ["image"],
    "output_names": ["reconstruction", "anomaly_map", "score"],
    "dynamic_axes": {"image": {0: "batch"}},
    "dynamo": True,
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("export") / "model.pt", TINY)


def run_exporter(exporter: Callable[..., None], checkpoint: Path, path: Path, net_id: str, **arguments: Any) -> None:
    """As the bundle's README has it."""
    exporter(
        net_id=net_id, filepath=str(path), ckpt_file=str(checkpoint), meta_file=str(CONFIGS / "metadata.json"),
        config_file=config("inference", "presets/tiny"), bundle_root=str(BUNDLE), precision="float32",
        **{"key_in_ckpt": "model", "use_trace": True, "input_shape": [2, 1, 64, 64], **arguments},
    )  # fmt: skip


def expected_outputs(checkpoint: Path, image: Tensor) -> list[Tensor]:
    return list(read_source(BUNDLE, checkpoint, preset="tiny").module(image))


@pytest.mark.parametrize(("net_id", "outputs"), [("network_def", 1), ("detector_def", 3)])
def test_torchscript(checkpoint: Path, tmp_path: Path, net_id: str, outputs: int) -> None:
    run_exporter(ckpt_export, checkpoint, tmp_path / "model.ts", net_id)
    extra = {"metadata.json": "", "inference.json": ""}
    traced = torch.jit.load(tmp_path / "model.ts", _extra_files=extra)
    assert json.loads(extra["metadata.json"])["name"].startswith("Q-Former")
    assert "detector_def" in json.loads(extra["inference.json"])
    image = torch.randn(3, 1, 64, 64)
    found = traced(image)
    for one, wanted in zip(found if outputs > 1 else [found], expected_outputs(checkpoint, image)[:outputs],
                           strict=True):  # fmt: skip
        torch.testing.assert_close(one, wanted, rtol=0, atol=1e-4)


def test_onnx_with_any_batch(checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    run_exporter(onnx_export, checkpoint, path, "detector_def", converter_kwargs=dict(DYNAMIC_BATCH))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    image = torch.randn(3, 1, 64, 64)
    for found, wanted in zip(session.run(None, {"image": image.numpy()}), expected_outputs(checkpoint, image),
                             strict=True):  # fmt: skip
        torch.testing.assert_close(torch.from_numpy(found), wanted, rtol=0, atol=1e-4)


@pytest.mark.parametrize("net_id", ["network_def", "detector_def"])
def test_never_random_weights(checkpoint: Path, tmp_path: Path, net_id: str) -> None:
    path = tmp_path / "model.ts"
    with pytest.raises(FileNotFoundError, match=r"none\.pt"):
        run_exporter(ckpt_export, tmp_path / "none.pt", path, net_id)
    other = make_checkpoint(tmp_path / "other.pt", PAPER_LIKE)
    with pytest.raises((ValueError, RuntimeError), match=REFUSALS):
        run_exporter(ckpt_export, other, path, net_id)
    with pytest.raises((ValueError, RuntimeError), match=REFUSALS):
        run_exporter(ckpt_export, checkpoint, path, net_id, key_in_ckpt="")  # the file holds more than the weights
    assert not path.exists()
