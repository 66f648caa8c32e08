"""A whole graph in the inferer's place of network and scorer, and the graphs that are refused."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from qfae_monai.anomaly import AnomalyInferer, OnnxDetector
from tests.anomaly.onnx_factory import RECORD, write_detector
from tests.anomaly.test_inferer import volume


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_detector(tmp_path / "detector.onnx")


def test_image_to_reconstruction_map_and_score(path: Path) -> None:
    image = torch.randn(3, 1, 16, 16)
    reconstruction, anomaly_map, score = OnnxDetector(path, image_size=16)(image)
    assert torch.equal(reconstruction, image.expand(-1, 3, -1, -1))
    assert torch.equal(anomaly_map, image.abs())
    assert torch.equal(score, image.abs().flatten(1).amax(1))


def test_inferer_takes_the_graph_in_place_of_network_and_scorer(path: Path) -> None:
    inferer = AnomalyInferer(None, image_size=16, batch_size=4, return_reconstruction=True)
    found = inferer(volume(), OnnxDetector(path, image_size=16))
    assert found["score"].tolist() == [3.0]
    assert found["anomaly_map"].shape == found["reconstruction"].shape == volume().shape
    assert found["anomaly_map"].argmax() == volume().argmax()


def test_threads_are_torchs(path: Path) -> None:
    options = OnnxDetector(path, image_size=16).session.get_session_options()
    assert options.intra_op_num_threads == torch.get_num_threads()


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ({"expected_checkpoint_sha256": "cd" * 32}, "checkpoint with SHA-256 cdcdcdcdcdcd, got one of another .abab"),
        ({"image_size": 224}, "images of 224 pixels, got one for 16"),
        ({"settings": {"model::metric": "cosine"}}, "model::metric: l2 then, cosine now"),
    ],
)
def test_a_graph_of_something_else_is_refused(path: Path, expected: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=rf"detector\.onnx.*{message}"):
        OnnxDetector(path, **{"image_size": 16, "expected_checkpoint_sha256": "ab" * 32, **expected})


def test_a_graph_of_unknown_origin_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="without the metadata 'qfae'"):
        OnnxDetector(write_detector(tmp_path / "unknown.onnx", None), image_size=16)
    with pytest.raises(ValueError, match="got one of the reconstruction alone"):
        OnnxDetector(write_detector(tmp_path / "half.onnx", replace(RECORD, graph="reconstruction")), image_size=16)


def test_a_damaged_or_missing_file_is_named(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match=r"detector\.onnx: expected a complete ONNX file"):
        OnnxDetector(path, image_size=16)
    with pytest.raises(FileNotFoundError, match=r"other\.onnx"):
        OnnxDetector(path.with_name("other.onnx"), image_size=16)


def test_an_image_of_another_size_is_refused(path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected images \(B, 1, 16, 16\), got \(1, 1, 32, 32\)"):
        OnnxDetector(path, image_size=16)(torch.zeros(1, 1, 32, 32))


def test_a_missing_runtime_names_the_extra(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModuleNotFoundError, match=r"the extra `export`"):
        OnnxDetector(path, image_size=16)
