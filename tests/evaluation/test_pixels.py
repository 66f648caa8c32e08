"""The metric that sums over batches and ranks: the same as scikit-learn over all pixels at once."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from qfae_monai.evaluation import PixelRanking, engine_metrics
from qfae_monai.evaluation.histogram import MapHistogram


@pytest.mark.parametrize(
    ("measure", "expected"), [("average_precision", average_precision_score), ("roc_auc", roc_auc_score)]
)
def test_batches_add_up(measure: str, expected: object) -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randint(-20, 20, (4, 1, 8, 8), generator=generator) / 16  # few bits, so that bins lose nothing
    labels = torch.randint(0, 2, (4, 1, 8, 8), generator=generator)
    metric = PixelRanking(measure)
    for half in (slice(0, 1), slice(1, 4)):
        metric.update((scores[half], labels[half]))
    assert callable(expected)
    assert metric.compute() == pytest.approx(expected(labels.ravel(), scores.ravel()), abs=1e-9)


def test_one_kind_of_pixel_only_is_nan_with_a_warning() -> None:
    metric = PixelRanking()
    metric.update((torch.rand(4), torch.zeros(4)))
    with pytest.warns(UserWarning, match="4 normal and 0 lesion"):
        assert metric.compute() != metric.compute()


def test_refuses_an_unknown_measure_and_nan() -> None:
    with pytest.raises(ValueError, match="got 'dice'"):
        PixelRanking("dice")
    with pytest.raises(ValueError, match="1 NaN"):
        PixelRanking().update((torch.tensor([0.0, torch.nan]), torch.zeros(2)))


def test_an_offset_is_ranked_as_in_the_tables() -> None:
    """The figure of `metrics.csv` is that of `evaluation.json`, whatever bins the maps ask for."""
    generator = torch.Generator().manual_seed(0)
    labels = (torch.rand(3, 40, 40, generator=generator) > 0.95).float()
    scores = 5 + 0.001 * (torch.rand(3, 40, 40, generator=generator) + 0.5 * labels)
    metric = PixelRanking()
    for pair in zip(scores, labels, strict=True):
        metric.update(pair)
    cases = [MapHistogram.fitted(*(part.numpy() for part in pair)) for pair in zip(scores, labels, strict=True)]
    assert metric.compute() == MapHistogram.merge(cases).average_precision()
    assert metric.compute() == pytest.approx(average_precision_score(labels.ravel(), scores.ravel()), abs=1e-3)


def test_ranks_merge_what_each_has_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, labels = torch.tensor([0.1, 0.2, 0.3, 0.4]), torch.tensor([0, 1, 0, 1])
    one, other, both = (PixelRanking() for _ in range(3))
    one.update((scores[:2], labels[:2]))
    other.update((scores[2:], labels[2:]))
    both.update((scores, labels))
    monkeypatch.setattr(engine_metrics, "gather", lambda part: [part, other._pixels] if part is one._pixels else [part])
    assert one.compute() == both.compute()
