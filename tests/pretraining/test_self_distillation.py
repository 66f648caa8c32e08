"""Student and teacher: who learns, who follows, what is hidden, and what the losses say."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.pretraining.conftest import small_trunk

DINOProjectionHead = pytest.importorskip("lightly.models.modules").DINOProjectionHead

from qfae_monai.pretraining import SelfDistillation, SelfDistillationLoss, TeacherUpdate  # noqa: E402  (they need it)

K = 12


@pytest.fixture
def network() -> SelfDistillation:
    torch.manual_seed(0)
    return SelfDistillation(small_trunk(dynamic_img_size=True), partial(DINOProjectionHead, 24, 16, 8, K))


def views(images: Tensor) -> list[Tensor]:
    return [images, images + 0.1, images[..., :16, :16]]


def test_the_teacher_starts_as_the_student_and_has_no_gradient(network: SelfDistillation, images: Tensor) -> None:
    found = network.eval()(views(images))
    assert found.teacher.shape == (2, 6, K)
    assert found.student.shape == (3, 6, K)
    assert found.hidden is None
    torch.testing.assert_close(found.student[:2], found.teacher)
    SelfDistillationLoss(K)(network.train()(views(images)), images).backward()
    teacher = [*network.teacher.parameters(), *network.teacher_head.parameters()]
    assert all(parameter.grad is None for parameter in teacher)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    assert all(parameter.grad is not None for parameter in trained)
    assert network.trunk is network.teacher


def test_hidden_patches_are_asked_of_the_student(network: SelfDistillation, images: Tensor) -> None:
    found = network.train()(views(images))
    assert found.hidden is not None
    assert found.hidden.shape == (12, 4, 4)
    assert found.student_patches is not None
    assert found.student_patches.shape == (int(found.hidden.sum()), K)
    network.hidden_share = 0.0
    assert network(views(images)).hidden is None


def test_the_loss_is_dinos(network: SelfDistillation, images: Tensor) -> None:
    found = network.eval()(views(images))
    teacher, student = (found.teacher / 0.04).softmax(-1), (found.student / 0.1).log_softmax(-1)
    pairs = [(t, s) for t in range(2) for s in range(3) if t != s]
    expected = torch.stack([-(teacher[t] * student[s]).sum(-1).mean() for t, s in pairs]).mean()
    loss = SelfDistillationLoss(K, apart_weight=0.0)
    torch.testing.assert_close(loss(found, images), expected)
    torch.testing.assert_close(loss.views.center[0, 0], 0.1 * found.teacher.mean((0, 1)))  # a moving mean from 0


def test_images_that_look_alike_cost(network: SelfDistillation, images: Tensor) -> None:
    found = network.eval()(views(images))
    alike = found._replace(classes=F.normalize(found.classes, dim=-1) * 0.001 + 1)
    losses = [SelfDistillationLoss(K, apart_weight=1.0)(one, images).item() for one in (found, alike)]
    assert losses[1] > losses[0] + 1


def test_held_out_figures_move_no_centre(network: SelfDistillation, images: Tensor) -> None:
    loss = SelfDistillationLoss(K)
    found = network.eval()(views(images))
    said, itself = loss.teacher_pairs(found)
    torch.testing.assert_close(said.log(), itself)
    _, other = loss.view_pairs(found)
    torch.testing.assert_close(other[0], (found.student[1] / 0.1).log_softmax(-1))
    assert not loss.views.center.any()


def engine(iteration: int, **changes: Any) -> Any:
    state = SimpleNamespace(iteration=iteration, epoch=1, max_epochs=2, epoch_length=4)
    return SimpleNamespace(state=state, accumulation_steps=changes.get("accumulation_steps", 1))


def test_the_teacher_follows_by_its_momentum_after_steps_only(network: SelfDistillation) -> None:
    update = TeacherUpdate(network, momentum=0.5)
    before = network.teacher.get_parameter("cls_token").clone()
    with torch.no_grad():
        network.student.get_parameter("cls_token").add_(1)
    update._follow(engine(1, accumulation_steps=2))
    assert torch.equal(network.teacher.get_parameter("cls_token"), before)
    update._follow(engine(8))  # the last step: momentum is 1
    torch.testing.assert_close(network.teacher.get_parameter("cls_token"), before)
    update._follow(engine(0))
    torch.testing.assert_close(network.teacher.get_parameter("cls_token"), before + 0.5)


def test_the_last_layer_waits_for_an_epoch(network: SelfDistillation, images: Tensor) -> None:
    update = TeacherUpdate(network, frozen_epochs=1)
    SelfDistillationLoss(K)(network(views(images)), images).backward()
    update._wait(engine(1))
    head = network.student_head.last_layer
    assert all(parameter.grad is None for parameter in head.parameters())
    SelfDistillationLoss(K)(network(views(images)), images).backward()
    second = engine(5)
    second.state.epoch = 2
    update._wait(second)
    assert any(parameter.grad is not None for parameter in head.parameters())
