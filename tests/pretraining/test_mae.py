"""The masked autoencoder hides what it says, learns, and fits the loss's targets."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from qfae_monai.networks import PatchDecoder
from qfae_monai.networks.patches import patchify
from qfae_monai.pretraining import MaskedAutoencoder, MaskedPatchLoss
from qfae_monai.pretraining.mae import Reconstruction
from tests.pretraining.conftest import small_trunk


def autoencoder(**changes: float) -> MaskedAutoencoder:
    torch.manual_seed(0)
    decoder = PatchDecoder(24, 4, 8, dim=16, depth=1, heads=2, out_channels=1, num_registers=0)
    return MaskedAutoencoder(small_trunk(), decoder, **changes)  # type: ignore[arg-type]


def test_three_quarters_are_hidden_anew_in_training_and_the_same_in_evaluation(images: Tensor) -> None:
    network = autoencoder()
    drawn = [network(images).masked for _ in range(2)]
    assert drawn[0].sum(dim=1).tolist() == [12] * 6
    assert not torch.equal(drawn[0], drawn[1])
    network.eval()
    assert torch.equal(network(images).masked, network(images).masked)


def test_nothing_of_a_hidden_patch_is_seen(images: Tensor) -> None:
    network = autoencoder().eval()
    before = network(images)
    changed = images.clone()
    pixels = before.masked.reshape(6, 1, 4, 4).repeat_interleave(8, 2).repeat_interleave(8, 3)
    changed[pixels] += 1
    assert torch.equal(network(changed).patches, before.patches)
    changed[~pixels] += 1
    assert not torch.equal(network(changed).patches, before.patches)


def test_the_target_is_normalised_per_patch_and_only_hidden_patches_count(images: Tensor) -> None:
    masked = torch.zeros(6, 16, dtype=torch.bool)
    masked[:, 3] = True
    patches = patchify(images, 8)
    wanted = (patches - patches.mean(2, keepdim=True)) / patches.std(2, keepdim=True, correction=0)
    loss = MaskedPatchLoss()
    assert loss(Reconstruction(wanted, masked), images * 2 + 3).item() == pytest.approx(0, abs=1e-6)
    wrong = wanted + torch.where(masked, 2.0, 100.0)[..., None]
    assert loss(Reconstruction(torch.where(masked[..., None], wrong, 0.0), masked), images).item() == pytest.approx(
        4, rel=1e-5
    )


def test_it_learns(images: Tensor) -> None:
    network, loss = autoencoder(), MaskedPatchLoss()
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    losses = []
    for _ in range(60):
        losses.append(loss(network(images), images))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1].item() < 0.97 * losses[0].item()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("ratio", [0.0, 0.99])
def test_all_or_nothing_cannot_be_hidden(ratio: float) -> None:
    with pytest.raises(ValueError, match="patches visible"):
        autoencoder(mask_ratio=ratio)


def test_a_decoder_of_another_grid_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(4, 4\) patches and tokens of width 24, got \(2, 2\) and 24"):
        MaskedAutoencoder(small_trunk(), PatchDecoder(24, 2, 16, dim=16, depth=1, heads=2))
