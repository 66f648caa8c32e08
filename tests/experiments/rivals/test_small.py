"""Small rivals: what each reconstructs, that training helps, and that their files hold all of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from qfae_monai.experiments.rivals import Course, create_rival, load_rival
from qfae_monai.experiments.rivals.loading import check_equal
from qfae_monai.experiments.rivals.small import NetworkRival, reconstruction_loss
from qfae_monai.experiments.rivals.trained import Detection, RivalFailedError, TrainedRival
from qfae_monai.networks.grey import MEAN, STD, normalized
from qfae_monai.weights import save_checkpoint

SIDE = 32
NETWORKS = ("autoencoder", "vae", "denoising-unet")


def blobs(count: int, seed: int = 0) -> Tensor:
    """Smooth images in [0, 1], (N, 1, S, S): two fixed fields in random shares."""
    generator = torch.Generator().manual_seed(seed)
    ramp = torch.linspace(0, 1, SIDE)
    fields = torch.stack([ramp[None, :].expand(SIDE, -1), ramp[:, None].expand(-1, SIDE)])  # (2, S, S)
    shares = torch.rand(count, 2, generator=generator) / 2
    return torch.einsum("nk,khw->nhw", shares, fields)[:, None]


def network_space(images: Tensor) -> Tensor:
    return (images - MEAN) / STD


def test_the_mean_image_is_the_reconstruction_of_every_image() -> None:
    rival = create_rival("mean-image", image_size=SIDE, how="mean")
    images = blobs(6)
    rival.fit(images, Course(epochs=1))
    picture, anomaly_map, score = rival(network_space(images))
    mean = images.mean(0, keepdim=True)
    assert torch.allclose(picture * STD + MEAN, mean.expand_as(images), atol=1e-5)
    assert torch.allclose(anomaly_map, (images - mean).abs(), atol=1e-5)
    assert torch.allclose(score, (images - mean).abs().flatten(1).mean(1), atol=1e-5)


def test_images_of_the_principal_plane_have_no_error_and_a_lesion_has() -> None:
    rival = create_rival("pca", image_size=SIDE)
    rival.fit(blobs(20), Course(epochs=1))
    new = blobs(3, seed=1)
    assert rival(network_space(new))[2].max() < 1e-3
    lesion = new.clone()
    lesion[:, :, 5:9, 20:24] += 0.4
    _, anomaly_map, score = rival(network_space(lesion))
    assert score.min() > 0.2
    row, column = divmod(int(anomaly_map[0].argmax()), SIDE)
    assert 5 <= row < 9
    assert 20 <= column < 24


@pytest.mark.parametrize("name", NETWORKS)
def test_training_makes_the_error_smaller(name: str) -> None:
    torch.manual_seed(0)
    rival = create_rival(name, image_size=SIDE, how="mean")
    images = blobs(32)
    before = rival.eval()(network_space(images))[2].mean()
    rival.fit(images, Course(epochs=12, batch_size=8))
    assert not rival.training
    assert rival(network_space(images))[2].mean() < 0.7 * before


def test_the_denoising_network_is_shown_noise_and_asked_for_the_image() -> None:
    rival = create_rival("denoising-unet", image_size=SIDE)
    shown: list[Tensor] = []
    assert isinstance(rival, NetworkRival)
    rival.network.register_forward_pre_hook(lambda _, arguments: shown.append(arguments[0].clone()))
    images = blobs(4).clamp_min(0.05)
    rival.fit(images, Course(epochs=1, batch_size=4))
    assert (shown[0].sum((1, 2, 3)).sort().values - images.sum((1, 2, 3)).sort().values).abs().min() > 1e-3


def test_the_divergence_counts_for_a_variational_autoencoder() -> None:
    image = torch.zeros(2, 1, 4, 4)
    unit = (image, torch.zeros(2, 3), torch.zeros(2, 3))
    apart = (image, torch.full((2, 3), 2.0), torch.zeros(2, 3))
    assert reconstruction_loss(unit, image) == 0
    assert reconstruction_loss(apart, image) == pytest.approx(3 * 0.5 * 4 / 16)  # of three latents, by pixels


@pytest.mark.parametrize("name", ["mean-image", "pca", *NETWORKS])
def test_a_file_holds_all_of_a_rival(name: str, tmp_path: Path) -> None:
    rival = create_rival(name, image_size=SIDE)
    rival.fit(blobs(8), Course(epochs=1, batch_size=4))
    save_checkpoint(tmp_path / "rival.pt", {"model": rival.state_dict()})
    loaded = load_rival(name, image_size=SIDE, weights=tmp_path / "rival.pt")
    check_equal(rival, loaded, network_space(blobs(2, seed=3)))


def test_another_rivals_file_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "rival.pt", {"model": create_rival("mean-image", image_size=SIDE).state_dict()})
    with pytest.raises(ValueError, match=r"rival\.pt: expected the values of the rival pca"):
        load_rival("pca", image_size=SIDE, weights=tmp_path / "rival.pt")


def test_a_file_that_holds_less_is_noticed() -> None:
    one, other = (create_rival("mean-image", image_size=SIDE) for _ in range(2))
    one.fit(blobs(4), Course(epochs=1))
    with pytest.raises(RivalFailedError, match="expected the same scores"):
        check_equal(one, other, network_space(blobs(1)))


def test_the_body_alone_counts_where_the_model_pools_so() -> None:
    rival = create_rival("mean-image", image_size=SIDE, how="mean", body_above=0.5)
    rival.fit(torch.zeros(2, 1, SIDE, SIDE), Course(epochs=1))
    image = torch.full((1, 1, SIDE, SIDE), 0.2)
    image[..., :4] = 0.8
    assert rival(network_space(image))[2].item() == pytest.approx(0.8, abs=1e-5)


class ScoreAlone(TrainedRival):
    """A rival without a map or a picture, of another size."""

    def fit(self, images: Tensor, course: Course) -> None:
        """Nothing to learn."""

    def detect(self, grey: Tensor) -> Detection:
        return Detection(None, grey.flatten(1).mean(1))


def test_a_score_alone_is_a_map_that_is_the_same_everywhere() -> None:
    image = torch.full((2, 1, 8, 8), normalized(0.25))
    picture, anomaly_map, score = ScoreAlone()(image)
    assert torch.equal(picture, image)
    assert torch.allclose(score, torch.tensor([0.25, 0.25]))
    assert torch.allclose(anomaly_map, torch.full_like(image, 0.25))
