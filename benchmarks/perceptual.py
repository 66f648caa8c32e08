"""Which perceptual network suits pixels decoded from DINOv2 ViT-S/14? `python -m benchmarks.perceptual DATA ...`.

At 112 px the same Q-Former Autoencoder is trained with each distance: DINOv2 ViT-S/14 itself at early or late blocks, a
masked autoencoder of the same scans (`--mae`, one for each DATA), both together, a seeded random network, and no
perceptual network at all, where the encoder's tokens are decoded (preset `dinov2_small`). All see the same views and
steps. Maps are standardised by held-out normal images, as the preset has it, or divided by their mean over
these; a score is the mean of all maps'. "Mean image": the same with the mean training image in place of the
reconstruction. Of several DATA, which are splits of one data set, figures are means.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from monai.utils import set_determinism
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from benchmarks.rivals import Images, normal_images, test_images
from qfae_monai.anomaly import PerceptualLoss, TokenDistance
from qfae_monai.anomaly.perceptual import Target
from qfae_monai.anomaly.pooling import PixelPooling
from qfae_monai.anomaly.standard_maps import StandardMaps
from qfae_monai.experiments.frozen import read_architecture
from qfae_monai.model import create_distance, create_qfae
from qfae_monai.model.bundle import Bundle
from qfae_monai.model.presets import TINY
from qfae_monai.networks.encoders import as_three_channels, hidden_states
from qfae_monai.networks.grey import normalized
from qfae_monai.networks.token_decoder import Decoded
from qfae_monai.pretraining.trunk import loss_blocks, score_blocks
from qfae_monai.weights import create_vit

SIDE = 112  # pixels
PATCHES = [14, 28]  # pixels: 8 x 8 and 4 x 4 patches
BATCH, RATE = 16, 1e-3
MOST_VIEWS = 4  # augmented views of each training image
REFERENCE = 200  # training images of the mean image, and held-out ones by which maps are standardised
PIXELS: dict[str, Any] = {"image_size": SIDE, "decodes": "pixels", "grid": 7, "metric": "cosine"}
DINOV2: dict[str, Any] = {"name": "vit_small_patch14_dinov2.lvd142m"}
ABOVE = normalized(0.01)
HOW = {
    "standardised, mean, body": (True, PixelPooling("mean", above=ABOVE)),
    "mean, body": (False, PixelPooling("mean", above=ABOVE)),
    "max": (False, PixelPooling("max")),
}
"""Whether maps are standardised, and their pooling over pixels."""


class Figures(NamedTuple):
    """auroc, of_mean_image: by pooling, of the model and of the mean image. error: mean map of normal test images,
    relative to the mean image's. variation: of reconstructions over images, relative to the images'."""

    auroc: dict[str, float]
    of_mean_image: dict[str, float]
    error: float
    variation: float


class Data(NamedTuple):
    """views: augmented training images, (M, 1, S, S); normal: unchanged ones; held_out: normal, test: of both kinds."""

    views: Tensor
    normal: Tensor
    held_out: Images
    test: Images


class Several(nn.Module):
    """Distances in several networks: their mean in training, their maps side by side in scoring.

    Args:
        distances: one for each network, of one role.
    """

    def __init__(self, distances: Sequence[nn.Module]) -> None:
        super().__init__()
        self.distances = nn.ModuleList(distances)

    def forward(self, found: Tensor | Decoded, image: Tensor | Sequence[Any]) -> Tensor:
        """found: reconstruction; image: (B, 1, H, W), or what `target` made of it, one for each network."""
        targets = [image] * len(self.distances) if isinstance(image, Tensor) else image
        parts = [one(found, target) for one, target in zip(self.distances, targets, strict=True)]
        return torch.stack(parts).mean() if parts[0].dim() == 0 else torch.cat(parts, dim=1)

    def target(self, image: Tensor) -> list[Any]:
        """What each network sees of a target image."""
        return [cast(PerceptualLoss | TokenDistance, one).target(image) for one in self.distances]


def perceptual(network: dict[str, Any], loss: list[int], score: list[int]) -> dict[str, Any]:
    """Settings of a model that is trained and scored with a network at some blocks."""
    blocks = {"loss_blocks": loss, "loss_patch_sizes": PATCHES, "score_blocks": score, "score_patch_sizes": PATCHES}
    return {**PIXELS, "perceptual": network, **blocks}


def choices(mae: Path | None) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Name of each choice, and the settings of its distances."""
    early, late = (perceptual(DINOV2, list(at), list(at)) for at in ((2, 4), (7, 9)))
    yield "none: tokens are decoded", [{"image_size": SIDE}]
    yield "seeded random, 1 block", [perceptual(TINY["perceptual"], [0], [0])]
    yield "DINOv2, blocks 2, 4", [early]
    if mae is not None:
        architecture = read_architecture(mae)
        own = {**architecture, "weights": str(mae.resolve())}
        own = perceptual(own, loss_blocks(architecture["depth"]), score_blocks(architecture["depth"]))
        yield "MAE of the same scans", [own]
        yield "MAE and DINOv2, blocks 2, 4", [own, early]
    yield "DINOv2, blocks 7, 9", [late]


def rows(one: Any, which: Tensor) -> Any:
    """Some images of what `target` made of many."""
    if isinstance(one, Target):
        return Target([[state[which].float() for state in states] for states in one.features], None)
    return one[which]


def joined(parts: Sequence[Any]) -> Any:
    """Many of what `target` made, in half the memory."""
    if isinstance(parts[0], Target):
        sizes = zip(*(part.features for part in parts), strict=True)
        return Target([[torch.cat(s).half() for s in zip(*size, strict=True)] for size in sizes], None)
    return torch.cat(list(parts))


def in_parts(function: Callable[[Tensor], Any], images: Tensor) -> list[Any]:
    """What a function makes of a few images at a time, without gradients."""
    with torch.no_grad():
        return [function(part) for part in images.split(BATCH)]


def train(network: Any, loss: Several, views: Tensor, steps: int) -> None:
    """Train on frozen features of views, which are computed once."""
    states = torch.cat([part[0].half() for part in in_parts(network.states, views)])  # (M, T, D)
    kept = [joined(parts) for parts in zip(*in_parts(loss.target, views), strict=True)]
    learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(learned, lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.15)
    orders = [torch.randperm(len(views)) for _ in range(1 + steps * BATCH // len(views))]
    network.train()
    for which in torch.cat(orders)[: steps * BATCH].split(BATCH):
        optimizer.zero_grad()
        loss(network([states[which].float()]), [rows(one, which) for one in kept]).backward()
        optimizer.step()
        schedule.step()
    network.eval()


def evaluated(network: Any, distance: Several, data: Data) -> Figures:
    """Score test images, and the mean of normal ones in their reconstructions' place."""
    maps = torch.cat(in_parts(lambda image: distance(network(image), image), data.held_out.image))
    standard, mean = StandardMaps.of(maps, data.held_out.position), maps.mean((0, 2, 3))[:, None, None]
    test, middle = data.test, data.normal.mean(0, keepdim=True)
    own, stands, pictures = [], [], []
    positions = [None] * len(test.label) if test.position is None else test.position.split(BATCH)

    def score(found: Any, image: Tensor, target: list[Any], position: Tensor | None) -> Tensor:
        maps = distance(found, target)
        ways = [pool(standard(maps, position) if how else maps / mean, image).mean(1) for how, pool in HOW.values()]
        return torch.stack([maps.mean((1, 2, 3)), *ways], dim=1)

    with torch.no_grad():
        for image, position in zip(test.image.split(BATCH), positions, strict=False):
            found, target = network(image), distance.target(image)
            own.append(score(found, image, target, position))
            stands.append(score(network.stand_in(middle, image), image, target, position))
            pictures.append((found.image if isinstance(found, Decoded) else found)[:, :1])
    labels = np.array(test.label)
    clean = torch.from_numpy(labels == 0)
    of_model, of_mean = torch.cat(own), torch.cat(stands)  # (N, 1 + ways): mean of the maps, and scores
    aurocs = [
        {name: float(roc_auc_score(labels, scores[:, place])) for place, name in enumerate(HOW, 1)}
        for scores in (of_model, of_mean)
    ]
    varies = [images[clean].std(0).square().mean().sqrt() for images in (torch.cat(pictures), test.image)]
    error = of_model[clean, 0].mean() / of_mean[clean, 0].mean()
    return Figures(aurocs[0], aurocs[1], float(error), float(varies[0] / varies[1]))


def read(folder: Path, overlays: Sequence[str], needed: int, seed: int) -> Data:
    """All images of a data set at 112 px, `needed` augmented views at most."""
    settings = {"preset": "tiny", "changes::image_size": SIDE, "dataset_dir": str(folder.resolve())}
    training = Bundle(["train", *overlays], {**settings, "reference_images": REFERENCE, "seed": seed})
    testing = Bundle(["train", *overlays, "evaluate"], settings)
    dataset = training.part("train::dataset")
    order = np.random.default_rng(seed).permutation(np.tile(np.arange(len(dataset)), MOST_VIEWS))[:needed]
    views = torch.stack([torch.as_tensor(dataset[int(index)]["image"]) for index in order]).as_subclass(Tensor)
    held_out = normal_images(training.part("score_fit::held_out"))
    test = test_images(testing.part("test_dataset"), testing.part("validate::inferer"))
    return Data(views.float(), training.part("normal_images").images, held_out, test)


def scales(weights: Path, images: Tensor) -> str:
    """Root mean square of the hidden states of each block of DINOv2 ViT-S/14, which the queries see as they are."""
    trunk = create_vit(DINOV2["name"], weights=weights, image_size=SIDE)
    with torch.no_grad():
        states = hidden_states(trunk, as_three_channels(images[:BATCH]), range(len(trunk.blocks)))
    return ", ".join(f"{state.square().mean().sqrt():.2f}" for state in states)


def trained(
    distances: Sequence[dict[str, Any]], data: Data, weights: Path, steps: int, changes: dict[str, Any]
) -> Figures:
    """Train with the distances of one choice, and evaluate."""
    network = create_qfae("dinov2_small", weights=weights, **{**distances[0], **changes})
    network.fit_target(lambda: data.normal)
    loss = Several([create_distance("dinov2_small", "loss", weights=weights, **one) for one in distances])
    train(network, loss, data.views, steps)
    score = Several([create_distance("dinov2_small", "score", weights=weights, **one) for one in distances])
    return evaluated(network, score, data)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, nargs="+", help="folder of a data set, or one for each split")
    parser.add_argument("--overlay", action="append", default=[], help="of the bundle, such as datasets/bmad")
    parser.add_argument("--weights", type=Path, required=True, help="folder with DINOv2 ViT-S/14")
    parser.add_argument("--mae", type=Path, nargs="+", help="for each DATA, the file that `qfae pretrain mae` wrote")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--changes", type=json.loads, default={}, help="of the network, such as '{\"queries\": 64}'")
    parser.add_argument("--only", action="append", help="name of a choice; all otherwise. Repeatable")
    arguments = parser.parse_args()
    if arguments.mae and len(arguments.mae) != len(arguments.data):
        parser.error(f"--mae: expected one file for each of {len(arguments.data)} DATA, got {len(arguments.mae)}")
    given = arguments.mae or [None] * len(arguments.data)
    known = [name for name, _ in choices(given[0])]
    if unknown := [name for name in arguments.only or [] if name not in known]:
        parser.error(f"--only: expected one of {'; '.join(known)}, got {'; '.join(unknown)}")
    warnings.simplefilter("ignore")
    found: dict[str, list[Figures]] = {}
    for folder, mae in zip(arguments.data, given, strict=True):
        set_determinism(arguments.seed)  # of the views, too
        data = read(folder, arguments.overlay, arguments.steps * BATCH, arguments.seed)
        abnormal = f"{sum(data.test.label):.0f} abnormal"
        print(f"{folder.name}: {len(data.views)} views, {len(data.test.label)} test images, {abnormal}", flush=True)
        print(f"  root mean square of hidden states by block: {scales(arguments.weights, data.normal)}", flush=True)
        for name, distances in choices(mae):
            if arguments.only and name not in arguments.only:
                continue
            set_determinism(arguments.seed)
            figures = trained(distances, data, arguments.weights, arguments.steps, arguments.changes)
            found.setdefault(name, []).append(figures)
            print(f"  {name}: {figures}", flush=True)
    print(f"\n| perceptual network | {' | '.join(HOW)} | mean image: {' | '.join(HOW)} | error | variation |")
    print("|---" * (3 + 2 * len(HOW)) + "|")
    for name, several in found.items():
        cells = [np.mean([one.auroc[how] for one in several]) for how in HOW]
        cells += [np.mean([one.of_mean_image[how] for one in several]) for how in HOW]
        shares = [np.mean([one.error for one in several]), np.mean([one.variation for one in several])]
        print(f"| {name} | {' | '.join(f'{x:.3f}' for x in cells)} | {' | '.join(f'{x:.2f}' for x in shares)} |")


if __name__ == "__main__":
    main()
