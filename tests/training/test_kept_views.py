"""Kept views: a step from them is a step from images; they are drawn once, whole or not at all, and announced."""

from __future__ import annotations

import logging
import pickle
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedTrainer
from torch import nn

from qfae_monai.anomaly import PerceptualLoss, TokenDistance
from qfae_monai.model.builders import create_distance, create_qfae
from qfae_monai.networks import QFAE
from qfae_monai.training import ReconstructionPrepareBatch, draw_views, kept_views, training_sampler
from qfae_monai.training import view_drawing as module
from qfae_monai.training.views import PART, KeptViews, packed, unpacked
from qfae_monai.transforms import CoarseNoise, RandBrightnessContrastd

IMAGES = PART + 3  # two files a view
SIDE = 64  # pixels


def images(count: int = IMAGES) -> list[dict[str, Any]]:
    generator = torch.Generator().manual_seed(0)
    return [{"image": torch.rand(1, SIDE, SIDE, generator=generator), "case": str(number)} for number in range(count)]


def trainer(kept: Any, network: nn.Module, loss: nn.Module, *, workers: int = 0, **prepare: Any) -> SupervisedTrainer:
    sampler = training_sampler(kept, batch_size=2, seed=0)
    return SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=1,
        train_data_loader=DataLoader(kept, batch_size=2, sampler=sampler, num_workers=workers),
        network=network,
        optimizer=torch.optim.SGD([parameter for parameter in network.parameters() if parameter.requires_grad], lr=0.1),
        loss_function=loss,
        prepare_batch=ReconstructionPrepareBatch(**prepare),
    )


def drawn(
    folder: Path,
    *,
    views: int = 2,
    jitter: float = 0.1,
    seed: int = 0,
    dtype: torch.dtype = torch.bfloat16,
    **other: Any,
) -> KeptViews:
    changes = other.pop("changes", {})
    source = Dataset(images(), RandBrightnessContrastd("image", jitter, jitter))
    kept = KeptViews(source, views, folder, dtype=dtype)
    draw_views(trainer(kept, create_qfae("tiny"), create_distance("tiny", **changes), **other), seed=seed)
    return kept


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*.safetensors")}


def gradients(network: nn.Module) -> dict[str, torch.Tensor]:
    found = {name: one.grad.clone() for name, one in network.named_parameters() if one.grad is not None}
    network.zero_grad()
    return found


def step(
    network: QFAE, loss: PerceptualLoss | TokenDistance, seen: Any, target: Any
) -> tuple[float, dict[str, torch.Tensor]]:
    torch.manual_seed(0)  # of dropout
    value = loss(network(seen), target)
    value.backward()
    return float(value.detach()), gradients(network)


TWO = [
    {"name": "vit_tiny_patch16_224", "patch_size": size, "depth": 1, "num_heads": 4, "seed": size, "embed_dim": 128}
    for size in (8, 16)
]


@pytest.mark.parametrize(
    ("changes", "loss_changes"),
    [
        ({}, {}),
        ({"encoder": TWO, "additional_block": {"num_heads": 2, "mlp_ratio": 2.0}, "token_dropout": 0.3}, {}),
        ({}, {"metric": "cosine", "foreground_weight": 3.0, "foreground_level": 0.5}),
    ],
)
def test_a_step_from_features_is_the_step_from_images(changes: dict[str, Any], loss_changes: dict[str, Any]) -> None:
    torch.manual_seed(1)
    network, loss = create_qfae("tiny", **changes).train(), create_distance("tiny", **loss_changes)
    image = torch.stack([one["image"] for one in images(4)])  # (4, 1, H, W)
    value, expected = step(network, loss, image, image)
    exact = unpacked(packed(network.states(image), loss.target(image), torch.float32))
    found, kept = step(network, loss, *exact)
    assert found == value
    assert all(torch.equal(kept[name], one) for name, one in expected.items())
    rounded = unpacked(packed(network.states(image), loss.target(image), torch.bfloat16))
    found, kept = step(network, loss, *rounded)
    assert found == pytest.approx(value, rel=1e-2)  # bfloat16 has eight binary digits
    for name, one in expected.items():
        assert torch.linalg.vector_norm(kept[name] - one) <= 0.05 * torch.linalg.vector_norm(one) + 1e-6, name


def test_a_view_of_what_is_not_augmented_is_the_image(tmp_path: Path) -> None:
    kept = drawn(tmp_path, jitter=0.0, views=1, dtype=torch.float32)
    network, loss = create_qfae("tiny"), create_distance("tiny")
    image = torch.stack([one["image"] for one in images()[PART:]])  # (3, 1, H, W), as its part was drawn
    expected = packed(network.states(image), loss.target(image), torch.float32)
    for row in range(3):
        for name, values in kept[PART + row, 0].items():
            torch.testing.assert_close(values, expected[name][row], rtol=1e-5, atol=1e-5)


def test_a_view_follows_from_seed_view_and_image_alone(tmp_path: Path) -> None:
    kept = drawn(tmp_path / "one")
    assert drawn(tmp_path / "other", workers=1).key == kept.key
    assert content(tmp_path / "one") == content(tmp_path / "other")
    assert len(content(tmp_path / "one")) == 2 * 2
    first, second = (kept[0, view]["states0"] for view in range(2))
    assert not torch.equal(first, second)
    assert pickle.loads(pickle.dumps(kept)).source is None  # workers are sent no images
    assert torch.equal(pickle.loads(pickle.dumps(kept))[0, 1]["states0"], second)


def test_what_the_network_sees_is_corrupted_and_the_target_is_not(tmp_path: Path) -> None:
    clean = drawn(tmp_path / "clean", views=1)
    noisy = drawn(tmp_path / "noisy", views=1, corruption=CoarseNoise(0.2))
    assert clean.key != noisy.key
    assert not torch.equal(clean[0, 0]["states0"], noisy[0, 0]["states0"])
    assert torch.equal(clean[0, 0]["features0"], noisy[0, 0]["features0"])
    assert content(tmp_path / "noisy") == content(
        drawn(tmp_path / "again", views=1, corruption=CoarseNoise(0.2)).folder
    )


def count_passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    passes: list[int] = []
    states = QFAE.states

    def counted(network: QFAE, image: torch.Tensor) -> list[torch.Tensor]:
        passes.append(len(image))
        return states(network, image)

    monkeypatch.setattr(QFAE, "states", counted)
    return passes


def test_a_second_start_draws_nothing_and_more_views_are_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn(tmp_path)
    passes = count_passes(monkeypatch)
    before = content(tmp_path)
    drawn(tmp_path)
    assert passes == []
    drawn(tmp_path, views=3)
    assert sum(passes) == IMAGES + 1  # one view, and one image by which its size is known
    assert content(tmp_path).items() > before.items()


@pytest.mark.parametrize("changed", [{"seed": 1}, {"jitter": 0.2}, {"changes": {"loss_patch_sizes": [8]}}])
def test_what_is_changed_is_drawn_beside_the_old(changed: dict[str, Any], tmp_path: Path) -> None:
    old = drawn(tmp_path, views=1)
    new = drawn(tmp_path, views=1, **changed)
    assert {old.key, new.key} == {path.name for path in tmp_path.iterdir()}
    assert old.key != new.key


def test_other_weights_of_a_frozen_network_are_noticed(tmp_path: Path) -> None:
    network, loss = create_qfae("tiny"), create_distance("tiny")
    weight = next(one for one in network.encoders.parameters() if not one.requires_grad)
    keys = []
    for factor in (1.0, 1.01):
        weight.data.mul_(factor)
        kept = KeptViews(Dataset(images(), RandBrightnessContrastd("image")), 1, tmp_path)
        draw_views(trainer(kept, network, loss), seed=0)
        keys.append(kept.key)
    assert keys[0] != keys[1]


def test_nothing_that_is_half_written_is_taken_for_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn(tmp_path / "straight")
    save, saved = module.save_file, []

    def killed(tensors: Any, path: Path) -> None:
        saved.append(path)
        if len(saved) == 3:
            path.write_bytes(b"half")
            raise KeyboardInterrupt
        save(tensors, path)

    monkeypatch.setattr(module, "save_file", killed)
    with pytest.raises(KeyboardInterrupt):
        drawn(tmp_path / "killed")
    assert len(content(tmp_path / "killed")) == 2
    truncated = next((tmp_path / "killed").rglob("*.safetensors"))
    truncated.write_bytes(truncated.read_bytes()[:-1])
    passes = count_passes(monkeypatch)
    drawn(tmp_path / "killed")
    assert content(tmp_path / "killed") == content(tmp_path / "straight")
    assert 1 < len(passes) <= 1 + 3  # what was whole is not drawn again


def test_the_size_is_said_before_and_is_that_on_disk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        drawn(tmp_path)
    (said,) = re.findall(r"keeping 2 views of 35 images, .* MB each: ([\d.]+) GB", caplog.text)
    assert float(said) * 1e9 == pytest.approx(sum(map(len, content(tmp_path).values())), rel=0.01)


def test_a_disk_without_room_is_refused_before_the_first_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: SimpleNamespace(free=1_000_000))
    with pytest.raises(ValueError, match=r"expected 0\.001\d+ GB of disk for 2 views of 35 images.* got 0\.001 GB"):
        drawn(tmp_path / "views")
    assert not list((tmp_path / "views").iterdir())


@pytest.mark.parametrize("views", [-1, 1.5, True, "4"])
def test_views_are_counted(views: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="views: expected null or a whole number from 1"):
        kept_views(images(), views, tmp_path)


@pytest.mark.parametrize("views", [None, 0])
def test_without_views_the_images_are_trained_on(views: int | None, tmp_path: Path) -> None:
    source = images()
    assert kept_views(source, views, tmp_path) is source
    draw_views(trainer(Dataset(source), create_qfae("tiny"), create_distance("tiny")), seed=0)
    assert not list(tmp_path.iterdir())


def test_another_loss_is_refused(tmp_path: Path) -> None:
    kept = KeptViews(Dataset(images()), 1, tmp_path)
    with pytest.raises(ValueError, match=r"expected a QFAE and a distance of frozen features .*, got QFAE and MSELoss"):
        draw_views(trainer(kept, create_qfae("tiny"), nn.MSELoss()), seed=0)


def test_an_epoch_meets_each_image_once_with_any_of_its_views(tmp_path: Path) -> None:
    sampler = training_sampler(KeptViews(images(), 4, tmp_path), batch_size=5, seed=0)
    epochs = []
    for seed in (1, 2, 1):
        torch.manual_seed(seed)
        epochs.append(list(sampler))
    assert sorted(image for image, _ in epochs[0]) == list(range(IMAGES))
    assert {view for _, view in epochs[0]} == set(range(4))
    assert epochs[0] == epochs[2] != epochs[1]
