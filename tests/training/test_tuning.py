"""The measured size is kept for this machine and these networks, and nothing is guessed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer

from qfae_monai.anomaly import PerceptualLoss
from qfae_monai.networks import QFAE, FrozenViT, PatchDecoder, QFormer
from qfae_monai.training.tuning import images_per_second, remember, signature, tuned_accumulation, tuned_forward_batch

CPU = torch.device("cpu")


def networks(patch_sizes: tuple[int, ...] = (8,)) -> tuple[QFAE, PerceptualLoss]:
    trunk = VisionTransformer(img_size=32, patch_size=8, embed_dim=24, depth=2, num_heads=3, num_classes=0)
    decoder = PatchDecoder(24, 4, 8, dim=16, depth=1, heads=2)
    network = QFAE(FrozenViT(trunk, blocks=(-1,)), QFormer(24, 16, heads=2), decoder)
    return network, PerceptualLoss(trunk, blocks=(0,), patch_sizes=patch_sizes)


def test_sizes_end_where_memory_ends() -> None:
    def step(size: int) -> None:
        if size > 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    assert list(images_per_second(step, [1, 2, 4, 8, 16], CPU)) == [1, 2, 4]
    with pytest.raises(MemoryError, match="a step of 8 images does not fit"):
        images_per_second(step, [8, 16], CPU)


def test_other_errors_are_not_swallowed() -> None:
    def step(size: int) -> None:
        raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape mismatch"):
        images_per_second(step, [1, 2], CPU)


# [remembered best, batch, parts]
TEST_CASES: list[list[int]] = [[64, 64, 1], [16, 64, 4], [20, 64, 4], [1, 6, 6], [5, 6, 2]]


@pytest.mark.parametrize(("best", "batch_size", "parts"), TEST_CASES)
def test_parts_are_at_most_the_best(best: int, batch_size: int, parts: int, tmp_path: Path) -> None:
    network, loss = networks()
    remember(signature("training", network, loss, CPU), best, tmp_path / "deep" / "tuned.json")
    assert tuned_accumulation(network, loss, CPU, batch_size, tmp_path / "deep" / "tuned.json") == parts


def test_what_was_not_measured_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "tuned.json"
    network, distance = networks()
    remember(signature("inference", network, distance, CPU), 4, path)
    remember("another machine", 8, path)
    assert tuned_forward_batch(network, distance, CPU, path) == 4
    with pytest.raises(ValueError, match="run `qfae tune`"):
        tuned_accumulation(network, distance, CPU, 64, path)
    with pytest.raises(ValueError, match="run `qfae tune`"):
        tuned_forward_batch(network, networks((8, 16))[1], CPU, path)
