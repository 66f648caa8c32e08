"""Small rivals that need nothing but MONAI: a reconstruction of the image, and its absolute error as the map."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedTrainer
from monai.networks.nets import AutoEncoder, BasicUNet, VarAutoEncoder
from sklearn.decomposition import PCA
from torch import Tensor, nn
from torch.nn import functional as F

from qfae_monai.anomaly.pooling import PixelPooling
from qfae_monai.experiments.rivals.trained import Course, Detection, TrainedRival
from qfae_monai.training import ReconstructionPrepareBatch
from qfae_monai.transforms import CoarseNoise

CHANNELS, STRIDES = (16, 32, 64, 128), (2, 2, 2, 2)
LATENT = 128  # values of an image
FEATURES = (16, 16, 32, 64, 128, 16)
NOISE_STD, NOISE_GRID = 0.2, 16  # as Kascenas et al. published them
LEARNING_RATE = 1e-3
COMPONENTS = 64


class ReconstructingRival(TrainedRival):
    """A rival that makes a normal image of every image.

    Args:
        pool: the absolute error's pixels to a score, as the method pools its own maps.
    """

    def __init__(self, pool: PixelPooling) -> None:
        super().__init__()
        self.pool = pool

    @abstractmethod
    def reconstruct(self, grey: Tensor) -> Tensor:
        """Images (B, 1, S, S) in [0, 1] -> what they would be if they were normal, same shape."""

    def detect(self, grey: Tensor) -> Detection:
        picture = self.reconstruct(grey)
        error = (grey - picture).abs()
        return Detection(error, self.pool(error, grey)[:, 0], picture)


class MeanImageRival(ReconstructingRival):
    """The mean of the normal images, whatever the image is."""

    mean: Tensor

    def __init__(self, image_size: int, pool: PixelPooling) -> None:
        super().__init__(pool)
        self.register_buffer("mean", torch.zeros(1, 1, image_size, image_size))

    def fit(self, images: Tensor, course: Course) -> None:
        self.mean = images.mean(dim=0, keepdim=True)

    def reconstruct(self, grey: Tensor) -> Tensor:
        return self.mean.expand(len(grey), -1, -1, -1)


class PCARival(ReconstructingRival):
    """The nearest image among those that few principal components of normal images make up.

    With fewer normal images than components there are as many components as images.
    """

    mean: Tensor
    components: Tensor

    def __init__(self, image_size: int, pool: PixelPooling) -> None:
        super().__init__(pool)
        self.register_buffer("mean", torch.zeros(image_size**2))
        self.register_buffer("components", torch.zeros(COMPONENTS, image_size**2))  # rows of zeros count for nothing

    def fit(self, images: Tensor, course: Course) -> None:
        flat = images.flatten(1).numpy()  # (N, S * S)
        found = PCA(min(COMPONENTS, *flat.shape), random_state=course.seed).fit(flat)
        self.mean = torch.from_numpy(found.mean_).float()
        components = torch.zeros_like(self.components)
        components[: len(found.components_)] = torch.from_numpy(found.components_)
        self.components = components

    def reconstruct(self, grey: Tensor) -> Tensor:
        flat = grey.flatten(1) - self.mean
        return (self.mean + flat @ self.components.T @ self.components).reshape(grey.shape)


class NetworkRival(ReconstructingRival):
    """A network of MONAI's that reconstructs, trained by MONAI's own trainer.

    Args:
        network: image to image of the same shape, or to a tuple that begins with it.
        pool: as in `ReconstructingRival`.
        corruption: of what the network is shown in training; None for none.
    """

    def __init__(self, network: nn.Module, pool: PixelPooling, corruption: CoarseNoise | None = None) -> None:
        super().__init__(pool)
        self.network, self.corruption = network, corruption

    def fit(self, images: Tensor, course: Course) -> None:
        if self.corruption is not None:
            self.corruption.set_random_state(course.seed)
        batch = min(course.batch_size, len(images))
        self.train().to(course.device)
        SupervisedTrainer(
            device=course.device,
            max_epochs=course.epochs,
            train_data_loader=DataLoader(
                Dataset([{"image": image} for image in images]), batch_size=batch, shuffle=True, drop_last=True
            ),
            network=self.network,
            optimizer=torch.optim.Adam(self.network.parameters(), lr=LEARNING_RATE),
            loss_function=reconstruction_loss,
            prepare_batch=ReconstructionPrepareBatch(corruption=self.corruption),
            decollate=False,
        ).run()
        self.eval()

    def reconstruct(self, grey: Tensor) -> Tensor:
        found = self.network(grey)
        return (found if isinstance(found, Tensor) else found[0]).clamp(0, 1)


def reconstruction_loss(found: Any, image: Tensor) -> Tensor:
    """Mean absolute error; of a variational autoencoder with the divergence of its latents from a unit Gaussian.

    Args:
        found: (B, 1, S, S), or that, mean and log variance of the latents (B, D), and their draw.
        image: (B, 1, S, S).
    """
    if isinstance(found, Tensor):
        return F.l1_loss(found, image)
    picture, mean, log_variance = found[:3]
    divergence = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(1).mean()  # nats of an image
    return F.l1_loss(picture, image) + divergence / image[0].numel()


def small_rival(name: str, image_size: int, pool: PixelPooling) -> TrainedRival:
    """Build a small rival, untrained.

    Args:
        name: of the catalogue.
        image_size: side of its images, pixels; a multiple of 16 for networks.
        pool: as in `ReconstructingRival`.
    """
    if name == "mean-image":
        return MeanImageRival(image_size, pool)
    if name == "pca":
        return PCARival(image_size, pool)
    if name == "denoising-unet":
        noise = CoarseNoise(NOISE_STD, size=NOISE_GRID)
        return NetworkRival(BasicUNet(spatial_dims=2, in_channels=1, features=FEATURES, out_channels=1), pool, noise)
    sizes: dict[str, Any] = {"spatial_dims": 2, "out_channels": 1, "channels": CHANNELS, "strides": STRIDES}
    if name == "autoencoder":
        return NetworkRival(AutoEncoder(in_channels=1, **sizes), pool)
    return NetworkRival(VarAutoEncoder(in_shape=(1, image_size, image_size), latent_size=LATENT, **sizes), pool)
