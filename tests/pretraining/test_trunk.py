"""What is trained: seeded, with positions that say where a patch is, at several image sizes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from qfae_monai.networks.patches import sincos_positions
from qfae_monai.pretraining import create_trunk
from qfae_monai.pretraining.trunk import encode
from qfae_monai.weights import WeightsNotFoundError, save_checkpoint
from tests.pretraining.conftest import small_trunk


def test_a_start_from_scratch_has_waves_as_positions_and_is_seeded() -> None:
    trunk, other = small_trunk(), small_trunk()
    positions = trunk.get_parameter("pos_embed")[0]
    torch.testing.assert_close(positions[1:], sincos_positions(24, 4))
    assert not positions[0].any()
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in trunk.state_dict().items())


def test_given_weights_are_gone_on_with(tmp_path: Path) -> None:
    trunk = small_trunk()
    torch.nn.init.normal_(trunk.get_parameter("pos_embed"))
    save_checkpoint(tmp_path / "start.safetensors", trunk.state_dict())
    found = small_trunk(initial_weights=tmp_path / "start.safetensors").state_dict()
    assert all(torch.equal(value, found[key]) for key, value in trunk.state_dict().items())
    with pytest.raises(WeightsNotFoundError, match=r"missing\.safetensors"):
        small_trunk(initial_weights=tmp_path / "missing.safetensors")


def test_tokens_are_timms_own(images: Tensor) -> None:
    trunk = small_trunk().eval()
    torch.testing.assert_close(encode(trunk, images), trunk.forward_features(images.expand(-1, 3, -1, -1)))


def test_hidden_patches_do_not_reach_the_tokens(images: Tensor) -> None:
    trunk = small_trunk(dynamic_img_size=True).eval()
    hidden = torch.zeros(6, 4, 4, dtype=torch.bool)
    hidden[:, 1, 2] = True
    changed = images.clone()
    changed[..., 8:16, 16:24] += 1
    token = torch.zeros(1, 1, 24)
    found, other = (encode(trunk, one, hidden=hidden, hidden_token=token) for one in (images, changed))
    assert torch.equal(found, other)
    assert not torch.equal(encode(trunk, images), encode(trunk, changed))


def test_a_network_without_a_class_token_is_refused() -> None:
    with pytest.raises(ValueError, match="class token"):
        create_trunk(
            "vit_tiny_patch16_224",
            image_size=32,
            patch_size=8,
            embed_dim=24,
            depth=1,
            num_heads=2,
            class_token=False,
            global_pool="avg",
        )
