"""Does a model beat simple rivals on its own test section? `python benchmarks/rivals.py MODEL ... [--weights WEIGHTS]`.

MODEL is a folder that `qfae train` made, with its `training/`. Rivals learn from the same training images, in the same
frozen features and at the same image size: nearest neighbours of each block (anywhere, at the same place), the class
token's five nearest neighbours, PCA of pixels, and the mean image as a "reconstruction". Each is pooled over pixels by
maximum, highest 5 and 20 % and mean, over the body or the image, as it is and standardised by held-out normals; of all
these ways the best ON THE TEST SET is shown, which no user could choose. The difference is that of the model's own
score, which saw no abnormal image; intervals are by patient.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.nn import functional as F

from qfae_monai.anomaly.normals import MOST_TOKENS, NearestTokens
from qfae_monai.anomaly.pooling import PixelPooling
from qfae_monai.anomaly.rivals import MeanImage, NormalImages
from qfae_monai.anomaly.score_choice import POOLINGS
from qfae_monai.anomaly.standard_maps import StandardMaps
from qfae_monai.evaluation.differences import paired_difference
from qfae_monai.evaluation.estimates import Area, area
from qfae_monai.evaluation.weighted import WeightedRanking
from qfae_monai.model.bundle import Bundle
from qfae_monai.networks.encoders import as_three_channels, hidden_states
from qfae_monai.networks.grey import normalized
from qfae_monai.networks.token_decoder import Decoded
from qfae_monai.training.training_record import read_training
from qfae_monai.transforms.grey_slices import GreySlices
from qfae_monai.transforms.slice_choice import places_along
from qfae_monai.weights.checkpoints import load_checkpoint

PART = 16  # images at a time
COMPONENTS = (4, 16, 64)
NEIGHBOURS = 5  # of the class token


@dataclass
class Images:
    """image: (N, 1, S, S), normalised; label, patient: of each; position: (N,) along the stack, None without one."""

    image: Tensor
    label: list[float]
    patient: list[str]
    position: Tensor | None


def test_images(dataset: Any, inferer: Any) -> Images:
    """Images, and slices of volumes that are scored."""
    images, labels, patients, positions = [], [], [], []
    for item in dataset:
        image, patient = torch.as_tensor(item["image"]), str(item.get("patient", item["case"]))
        if image.dim() == 3:
            images.append(image[None].float())
            labels.append(float(item["image_label"]))
            patients.append(patient)
            continue
        slices = GreySlices(item["image"], inferer.axis)
        visible, inside = inferer.choice(slices)
        chosen = (visible & inside).nonzero()[:, 0]
        images.append(inferer.resize(slices[chosen])[:, None])
        mask = item.get("label")
        lesion = (
            (torch.as_tensor(mask)[0] > 0).movedim(inferer.axis, 0)[chosen].flatten(1).any(1)
            if mask is not None
            else None
        )
        labels += [float(item["image_label"])] * len(chosen) if lesion is None else lesion.float().tolist()
        patients += [patient] * len(chosen)
        positions.append(places_along(visible)[chosen])
    return Images(torch.cat(images).as_subclass(Tensor), labels, patients, torch.cat(positions) if positions else None)


def normal_images(images: NormalImages) -> Images:
    """Training or held-out images."""
    return Images(images.images, [0.0] * len(images.images), images.patients, images.positions)


@torch.no_grad()
def states(trunk: Any, images: Tensor) -> Tensor:
    """Tokens of all blocks, (blocks, N, prefix + patches, D), in half the memory."""
    device = next(trunk.parameters()).device
    parts = [
        torch.stack(hidden_states(trunk, as_three_channels(part.to(device)), range(len(trunk.blocks)))).half().cpu()
        for part in images.split(PART)
    ]
    return torch.cat(parts, dim=1)


def class_tokens(trunk: Any, images: Tensor) -> Tensor:
    """(blocks, N, D), of all blocks."""
    return torch.cat([states(trunk, part)[:, :, 0] for part in images.split(PART)], dim=1)


def neighbours(known: Tensor, images: Tensor, tokens: Tensor, device: torch.device) -> Tensor:
    """Distance from the nearest of known tokens (M, P, D), as the model has it: (N, 2, S, S), anywhere and there.

    Args:
        known: of training images.
        images: (N, 1, S, S).
        tokens: theirs, (N, P, D).
        device: that compares.
    """
    known, tokens = (F.layer_norm(one.float(), one.shape[-1:]) for one in (known, tokens))
    nearest = NearestTokens.of(known[None]).to(device)
    parts = zip(images.split(PART), tokens[:, None].to(device).split(PART), strict=True)
    return torch.cat([nearest(Decoded(image, part, part, part)).cpu() for image, part in parts])


def residuals(known: Tensor, wanted: Tensor, components: int) -> Tensor:
    """Absolute error of a reconstruction by principal components of the pixels of normal images: (N, 1, S, S)."""
    pca = PCA(components, svd_solver="full").fit(known.flatten(1).numpy())
    flat = wanted.flatten(1).numpy()
    apart = np.abs(flat - pca.inverse_transform(pca.transform(flat)))
    return torch.from_numpy(apart).reshape(wanted.shape).mean(1, keepdim=True)


def ways(maps: Tensor, held_out: Tensor, test: Images, normal: Images, above: float) -> Iterator[tuple[str, NDArray]]:
    """Each way to pool maps (N, 1, S, S), and the scores (N,)."""
    standard = StandardMaps.of(held_out, normal.position)
    for standardised, body, (how, share) in product((False, True), (True, False), POOLINGS):
        pool = PixelPooling(how, share=share, above=above if body else None)
        of = standard(maps, test.position) if standardised else maps
        name = f"{how}{'' if how != 'top' else f' {share:.0%}'}{', body' if body else ''}"
        yield name + (", standardised" if standardised else ""), pool(of, test.image)[:, 0].numpy()


def figure(scores: NDArray, test: Images) -> Area:
    """AUROC with what its interval needs."""
    labels = np.array(test.label)
    ranked = WeightedRanking(scores, labels)
    value = float(ranked.auroc(np.ones((1, len(labels))))[0])
    return area(value, test.patient, np.stack([1 - labels, labels], 1), ranked.auroc, ranked.separation)


def within_patients(scores: NDArray, test: Images) -> str:
    """AUROC of each of the first patients that have normal and abnormal slices."""
    labels, patients, found = np.array(test.label), np.array(test.patient), []
    for patient in dict.fromkeys(test.patient):
        rows = patients == patient
        if len(set(labels[rows])) == 2:
            found.append(f"{patient} {roc_auc_score(labels[rows], scores[rows]):.3f}")
    return ", ".join(found[:10])


def rival_maps(known: Images, held_out: Images, test: Images, trunk: Any) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Name, maps of the test images and of held-out ones."""
    side = test.image.shape[-1]
    prefix, device = trunk.num_prefix_tokens, next(trunk.parameters()).device
    # tokens of no more training images than are compared with: of thousands they would take tens of GB
    most = max(1, MOST_TOKENS // trunk.patch_embed.num_patches)
    found = [states(trunk, images) for images in (known.image[:most], held_out.image, test.image)]
    for block in range(len(trunk.blocks)):
        of = [one[block][:, prefix:] for one in found]
        of_test, of_held_out = (
            neighbours(of[0], images.image, tokens, device) for images, tokens in ((test, of[2]), (held_out, of[1]))
        )
        for kind, name in enumerate(("anywhere", "at the same place")):
            yield f"neighbours {name}, block {block}", of_test[:, [kind]], of_held_out[:, [kind]]
    classes = [class_tokens(trunk, known.image), *(one[:, :, 0] for one in found[1:])] if prefix else []
    for block in range(len(trunk.blocks)) if prefix else ():
        of = [F.normalize(one[block].float(), dim=-1) for one in classes]
        far = [torch.cdist(one, of[0]).topk(NEIGHBOURS, largest=False).values.mean(1) for one in (of[2], of[1])]
        flat = [one[:, None, None, None].expand(-1, 1, side, side) for one in far]
        yield f"class token, block {block}", flat[0], flat[1]
    for components in COMPONENTS:
        if components < len(known.image):
            apart = [residuals(known.image, one.image, components) for one in (test, held_out)]
            yield f"PCA, {components} components", apart[0], apart[1]


def scored(model: Path, data: Path, weights: Path | None) -> dict[tuple[str, str], Area]:
    """Figures of a model ("QFAE") and of its rivals, by kind of rival and way."""
    given = {"bundle_root": str(model), "model_dir": str(model), "dataset_dir": str(data)}
    folder = {} if weights is None else {"weights_dir": str(weights.resolve())}
    trained = model / "configs" / "training.yaml"
    bundle = Bundle([trained, "evaluate"], {**given, **folder})
    network, scorer, inferer = (bundle.part(name) for name in ("network_def", "scorer", "validate::inferer"))
    load_checkpoint(network, model / "models" / "model.pt")
    device = bundle.part("device")
    network.to(device).eval()
    scorer.to(device)
    reference = bundle.part("normal_images")
    known = normal_images(reference)
    # of the training alone: with what evaluates, they would be scans of the test
    held_out = normal_images(Bundle([trained], {**given, **folder}).part("score_fit::held_out"))
    test = test_images(bundle.part("test_dataset"), inferer)
    record = read_training(model / "models" / "model.pt") or {}
    print(f"{model.name}: {len(test.label)} images of {len(set(test.patient))} patients; score {record.get('score')}")
    mean = MeanImage(reference, scorer, network)
    own, of_mean = [], []
    for first in range(0, len(test.label), PART):
        image = test.image[first : first + PART].to(device)
        where = None if test.position is None else test.position[first : first + PART].to(device)
        with torch.no_grad():
            own.append(scorer(image, network(image), where).score.cpu())
        of_mean.append(mean(image, where).score.cpu())
    scores = torch.cat(own).numpy()
    print(f"  AUROC within each patient: {within_patients(scores, test) or 'none has both classes'}")
    found = {("QFAE", ""): figure(scores, test)}
    found["mean image, through the same score", ""] = figure(torch.cat(of_mean).numpy(), test)
    above = normalized(bundle.plain("model")["foreground_level"])
    for name, maps, of_held_out in rival_maps(known, held_out, test, network.encoders[0].trunk):
        kind, _, what = name.partition(", ")
        for way, scores in ways(maps, of_held_out, test, held_out, above):
            found[kind, f"{what}; {way}"] = figure(scores, test)
    return found


def difference(rival: Sequence[Area], own: Sequence[Area]) -> str:
    """How much better the model is: with an interval of one test section, in how many of several."""
    apart = [paired_difference(one, other) for one, other in zip(rival, own, strict=True)]
    value = np.mean([one.value for one in apart])
    if len(apart) > 1:
        return f"{value:+.3f} (in {sum(one.value > 0 for one in apart)} of {len(apart)} splits)"
    limits = apart[0].reason or f"{apart[0].low:+.3f} to {apart[0].high:+.3f}, p {apart[0].p:.3f}"
    return f"{value:+.3f} ({limits})"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path, nargs="+", help="one, or those of several splits: figures are their means")
    parser.add_argument("--data", type=Path, nargs="+", help="folder of each model's data; MODEL/training otherwise")
    parser.add_argument("--weights", type=Path, help="folder of the frozen networks that are not part of the model")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    models = [model.resolve() for model in arguments.model]
    data = [one.resolve() for one in arguments.data or [model / "training" for model in models]]
    found = [scored(model, place, arguments.weights) for model, place in zip(models, data, strict=True)]
    own = [one["QFAE", ""] for one in found]
    span = own[0].interval()
    limits = f" ({span.low:.3f} to {span.high:.3f})" if len(own) == 1 else ""
    print(f"\nQFAE {np.mean([one.value for one in own]):.3f}{limits}\n")
    print("| rival | best way on the test set | AUROC | QFAE better by |\n|---|---|---|---|")
    means = {
        key: float(np.mean([one[key].value for one in found])) for key in found[0] if all(key in one for one in found)
    }
    for kind in dict.fromkeys(kind for kind, _ in means if kind != "QFAE"):
        key = max((key for key in means if key[0] == kind), key=means.__getitem__)
        print(f"| {kind} | {key[1]} | {means[key]:.3f} | {difference([one[key] for one in found], own)} |")


if __name__ == "__main__":
    main()
