"""Models of anomalib: trained on tensors, kept in a file, refused in one line; the library itself where it is there."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest
import timm
import torch
from torch import Tensor

from qfae_monai.experiments.rivals import Course, create_rival, find_method, load_rival
from qfae_monai.experiments.rivals.anomalib_bridge import AnomalibRival, model_class, tensors_module, textures
from qfae_monai.experiments.rivals.loading import check_equal
from qfae_monai.experiments.rivals.local_weights import local_weights, read_torchvision
from qfae_monai.experiments.rivals.trained import RivalFailedError
from qfae_monai.networks.grey import normalized
from qfae_monai.weights import WeightsNotFoundError, save_checkpoint

SIDE = 64
needs_anomalib = pytest.mark.skipif(find_spec("anomalib") is None, reason="needs anomalib: make rivals")


def noise(count: int, seed: int = 0) -> Tensor:
    """Images (N, 1, S, S) in [0, 1]."""
    return torch.rand(count, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> None:
    """An anomalib that has no models, in the place of the installed one or of none."""
    for name in ("anomalib", "anomalib.models"):
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr("qfae_monai.experiments.rivals.anomalib_bridge.version", lambda _: "1.9")


def test_a_version_without_the_model_is_named(without: None) -> None:
    with pytest.raises(ValueError, match=r"dinomaly: expected anomalib with the model Dinomaly .*, got anomalib 1\.9"):
        model_class(find_method("dinomaly"))


def test_without_the_library_its_installation_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anomalib", None)
    monkeypatch.setitem(sys.modules, "anomalib.models", None)
    with pytest.raises(ImportError, match=r"patchcore: expected the library anomalib.*make rivals"):
        create_rival("patchcore", image_size=SIDE)


def test_weights_come_from_files_or_not_at_all(tmp_path: Path) -> None:
    network = timm.create_model("resnet10t", pretrained=False)
    save_checkpoint(tmp_path / "resnet10t.safetensors", network.state_dict())
    with local_weights([tmp_path]):
        again = timm.create_model("resnet10t", pretrained=True)
        with pytest.raises(WeightsNotFoundError, match=r"resnet18\.safetensors"):
            timm.create_model("resnet18", pretrained=True)
    assert all(torch.equal(one, other) for one, other in zip(network.parameters(), again.parameters(), strict=True))
    with local_weights([]), pytest.raises(WeightsNotFoundError, match=r"resnet18\.safetensors .*--weights"):
        timm.create_model("resnet18", pretrained=True)
    with local_weights([], filled=True):  # all values come from a checkpoint later
        timm.create_model("resnet10t", pretrained=True)


def test_torchvisions_files_are_found_by_name(tmp_path: Path) -> None:
    url = "https://example.org/models/net-1234.pth"
    with pytest.raises(WeightsNotFoundError, match=r"net-1234\.pth"):
        read_torchvision(url, [tmp_path])
    save_checkpoint(tmp_path / "net-1234.pth", {"weight": torch.ones(2)})
    assert torch.equal(read_torchvision(url, [tmp_path])["weight"], torch.ones(2))


def test_textures_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsNotFoundError, match=r"draem: .*dtd, got none"):
        textures([tmp_path])
    (tmp_path / "dtd").mkdir()
    assert textures([tmp_path]) == tmp_path / "dtd"


@needs_anomalib
def test_tensors_reach_the_library_as_they_are() -> None:
    images = noise(5)
    batches = list(tensors_module(images, 4, whole=True).train_dataloader())
    assert [len(batch.image) for batch in batches] == [4, 1]
    handed = torch.cat([batch.image for batch in batches])[:, :1]
    assert torch.equal(handed.flatten(1).sort(0).values, images.flatten(1).sort(0).values)  # 32 bits, none lost
    assert [len(batch.image) for batch in tensors_module(images, 4, whole=False).train_dataloader()] == [4]


@needs_anomalib
@pytest.mark.slow
def test_one_that_needs_no_weights_learns_and_is_kept(tmp_path: Path) -> None:
    rival = create_rival("ganomaly", image_size=SIDE, batch_size=4)
    before = [value.clone() for value in rival.parameters()]
    rival.fit(noise(8), Course(epochs=1, batch_size=4))
    assert any(not torch.equal(one, other) for one, other in zip(before, rival.parameters(), strict=True))
    save_checkpoint(tmp_path / "rival.pt", {"model": rival.state_dict()})
    loaded = load_rival("ganomaly", image_size=SIDE, weights=tmp_path / "rival.pt")
    image = (noise(2, seed=1) - 0.449) / 0.226
    check_equal(rival, loaded, image)
    _, anomaly_map, score = loaded(image)
    assert anomaly_map.shape == image.shape
    assert torch.equal(anomaly_map[:, 0, 0, 0], score)  # it has no map


@needs_anomalib
@pytest.mark.slow
def test_a_memory_bank_knows_what_it_saw_and_survives_its_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsNotFoundError, match=r"resnet18\.safetensors"):
        create_rival("padim", image_size=SIDE, folders=[tmp_path])
    torch.manual_seed(0)
    state = timm.create_model("resnet18", pretrained=False).state_dict()
    save_checkpoint(tmp_path / "resnet18.safetensors", state)
    rival = create_rival("padim", image_size=SIDE, folders=[tmp_path])
    images = 0.5 + 0.05 * (noise(12) - 0.5)
    rival.fit(images, Course(epochs=3, batch_size=5))
    save_checkpoint(tmp_path / "rival.pt", {"model": rival.state_dict()})
    loaded = load_rival("padim", image_size=SIDE, weights=tmp_path / "rival.pt")  # its networks are in its file
    strange = images[:1].clone()
    strange[:, :, 20:30, 20:30] = 1
    normal, abnormal = ((one - 0.449) / 0.226 for one in (images[:1], strange))
    check_equal(rival, loaded, normal)
    assert loaded(abnormal)[2] > loaded(normal)[2]


@needs_anomalib
def test_a_failure_of_the_library_is_one_of_the_rival(monkeypatch: pytest.MonkeyPatch) -> None:
    rival = create_rival("ganomaly", image_size=SIDE, batch_size=2)
    assert isinstance(rival, AnomalibRival)

    def fail(*_: object) -> None:
        raise IndexError("too small")

    monkeypatch.setattr(rival.module, "training_step", fail)
    with pytest.raises(RivalFailedError, match=r"ganomaly: .* images of 64 pixels \(IndexError: too small\)"):
        rival.fit(noise(2), Course(epochs=1, batch_size=2))


@needs_anomalib
def test_images_are_enlarged_to_what_patches_divide() -> None:
    rival = create_rival("ganomaly", image_size=40)
    assert isinstance(rival, AnomalibRival)
    assert rival.side == 64
    assert rival.eval()(torch.full((1, 1, 40, 40), normalized(0.5)))[1].shape == (1, 1, 40, 40)
