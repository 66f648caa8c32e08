from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor
from monai.engines import SupervisedEvaluator
from monai.transforms import Transform
from torch import Tensor

from qfae_monai.anomaly import AnomalyInferer
from qfae_monai.anomaly.normals import fold_of
from qfae_monai.evaluation import score_cases, score_held_out


class Keep(Transform):
    """Postprocessing that keeps what it is given."""

    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []

    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:
        self.found.append(data)
        return data


def scored(cases: list[dict[str, Any]], network: Callable[[Tensor], Any], batch: int = 4) -> list[dict[str, Any]]:
    """What MONAI's evaluator has for each case."""
    keep = Keep()

    class Network(torch.nn.Module):
        def forward(self, images: Tensor, position: Tensor | None = None) -> Any:
            return network(images)

    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(cases), batch_size=batch, collate_fn=list),
        network=Network(),
        inferer=AnomalyInferer(None, image_size=8, min_foreground=0),
        iteration_update=score_cases,
        postprocessing=keep,
        decollate=False,
    )
    evaluator.run()
    return keep.found


def brightest(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """As a whole graph scores: reconstruction, map (B, 1, H, W) and score (B,)."""
    return images, images[:, :1], images.amax((1, 2, 3))


def image(value: float, name: str = "a.png", *size: int) -> MetaTensor:
    return MetaTensor(torch.full((1, *(size or (8, 8))), value), meta={"filename_or_obj": name})


def test_each_case_keeps_what_it_has() -> None:
    cases: list[dict[str, Any]] = [
        {"image": image(1), "case": "a", "label": image(0), "sex": "F"},
        {"image": image(2), "case": "b"},
        {"image": MetaTensor(torch.full((3, 8, 8), 3.0)), "case": "c", "image_label": None},
        {"image": image(4), "case": "d", "patient": "P"},
        {"image": image(5), "case": "e", "label": image(1)},
    ]
    found = scored(cases, brightest)
    assert [item["case"] for item in found] == list("abcde")
    assert [float(item["pred"]["score"]) for item in found] == [1, 2, 3, 4, 5]
    assert [item["label"] is None for item in found] == [False, True, True, True, False]
    assert [item["columns"] for item in found] == [{"sex": "F"}, {}, {}, {}, {}]


def test_volumes_of_several_grids_share_a_batch() -> None:
    volumes = [
        MetaTensor(torch.rand(1, *shape) + number) for number, shape in enumerate([(8, 8, 3), (6, 9, 5), (8, 8, 3)])
    ]
    found = scored([{"image": volume, "case": str(number)} for number, volume in enumerate(volumes)], brightest)
    assert [item["pred"]["anomaly_map"].shape for item in found] == [volume.shape for volume in volumes]
    assert [len(item["pred"]["slice_scores"]) for item in found] == [3, 5, 3]


@pytest.mark.parametrize("batch", [1, 4])
def test_a_score_that_is_no_number_names_its_image(batch: int) -> None:
    def blind(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        reconstruction, maps, scores = brightest(images)
        return reconstruction, maps, torch.where(scores == 2, torch.nan, scores)

    cases = [{"image": image(value, f"{value}.png"), "case": str(value)} for value in (1, 2, 3)]
    with pytest.raises(ValueError, match=r"^2.png: expected finite scores, got nan"):
        scored(cases, blind, batch)


def test_a_volume_whose_score_is_no_number_is_named() -> None:
    def blind(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return images, images[:, :1], images.amax((1, 2, 3)) * torch.nan

    volume = MetaTensor(torch.rand(1, 8, 8, 3), meta={"filename_or_obj": "v.nii"})
    with pytest.raises(ValueError, match=r"^v.nii: expected finite scores"):
        scored([{"image": volume, "case": "a"}], blind)


def test_held_out_cases_are_scored_without_the_fold_of_their_patient() -> None:
    asked: list[tuple[int, int]] = []

    def inferer(images: Tensor, network: Any, *, without: int) -> dict[str, Tensor]:
        asked.append((len(images), without))
        return {"score": images.amax((1, 2, 3))}

    cases = [{"image": image(float(number)), "case": str(number), "patient": f"P{number % 3}"} for number in range(6)]
    engine: Any = SimpleNamespace(
        state=SimpleNamespace(device=torch.device("cpu"), batch=None, output=None),
        non_blocking=False,
        network=None,
        mode=lambda network: nullcontext(),
        inferer=inferer,
        fire_event=lambda event: None,
    )
    found = score_held_out(engine, cases)
    assert [float(case["pred"]["score"]) for case in found] == [0, 1, 2, 3, 4, 5]
    folds = [fold_of(f"P{number}") for number in range(3)]
    assert sorted(asked) == sorted((2 * folds.count(fold), fold) for fold in set(folds))  # those of a fold at once
