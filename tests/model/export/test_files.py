"""Exported graphs give PyTorch's numbers at any batch size, and a graph that does not is never written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from qfae_monai.anomaly import OnnxDetector
from qfae_monai.anomaly.detector import GraphRecord
from qfae_monai.files import sha256_of
from qfae_monai.model import export as files
from qfae_monai.model.export import ExportSource, write_graph
from tests.model.export.conftest import Exported

RECORD = GraphRecord(graph="detector", image_size=8, checkpoint_sha256="0" * 64, version="0")


class Brightness(nn.Module):
    """Stands for a detector: the map is the image, times a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((1, 1, 8, 8), 2.0), requires_grad=False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return image.expand(-1, 3, -1, -1), image * self.weight, (image * self.weight).flatten(1).amax(1)


class Batchwise(Brightness):
    """Every image's score depends on the number of images, which a traced graph keeps as it was."""

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        reconstruction, anomaly_map, score = super().forward(image)
        return reconstruction, anomaly_map, score * int(image.shape[0])


@pytest.mark.parametrize("batch", [1, 4])
def test_onnx_equals_pytorch(exported: Exported, batch: int) -> None:
    detector = OnnxDetector(
        exported.graph.files[0],
        image_size=64,
        expected_checkpoint_sha256=sha256_of(exported.checkpoint),
        settings=exported.source.record.settings,
    )
    image = torch.randn(batch, 1, 64, 64, generator=torch.Generator().manual_seed(batch))
    expected = exported.source.module(image)
    for found, wanted in zip(detector(image), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4)
    assert expected[1].std() > 1e-3  # the map is not flat, so that equality says something


@pytest.mark.parametrize("batch", [1, 4])
def test_torchscript_equals_pytorch(exported: Exported, tmp_path: Path, batch: int) -> None:
    path = write_graph(exported.source, tmp_path / "detector.ts").files[0]
    extra = {"qfae.json": ""}
    traced = torch.jit.load(path, _extra_files=extra)
    assert json.loads(extra["qfae.json"])["checkpoint_sha256"] == sha256_of(exported.checkpoint)
    image = torch.randn(batch, 1, 64, 64, generator=torch.Generator().manual_seed(batch))
    for found, wanted in zip(traced(image), exported.source.module(image), strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4)


def test_weights_beyond_the_formats_limit_lie_beside_the_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for needed in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(needed, reason="the extra export is not installed")
    monkeypatch.setattr(files, "LARGEST_FILE", 100)
    source = ExportSource(Brightness(), RECORD)
    monkeypatch.setattr(source.module, "weight", nn.Parameter(torch.rand(1, 1, 8, 8), requires_grad=False))
    written = write_graph(source, tmp_path / "large.onnx").files
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in written}
    image = torch.rand(3, 1, 8, 8)
    found = OnnxDetector(written[0], image_size=8)(image)
    torch.testing.assert_close(found[1], source.module(image)[1])


def test_a_graph_that_disagrees_leaves_everything_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "graph.ts"
    path.write_text("an older one")
    with pytest.raises(ValueError, match=r"graph\.ts: expected outputs within 0.0001 .* 'score'"):
        write_graph(ExportSource(Batchwise(), RECORD), path)
    assert path.read_text() == "an older one"
    assert list(tmp_path.iterdir()) == [path]


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected a file ending in \.onnx or \.ts, got \.pb"):
        write_graph(ExportSource(Brightness(), RECORD), tmp_path / "graph.pb")


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(ModuleNotFoundError, match="the extra `export`"):
        write_graph(ExportSource(Brightness(), RECORD), tmp_path / "graph.onnx")
    assert not list(tmp_path.iterdir())
