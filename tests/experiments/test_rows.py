"""The rows describe themselves; what does not is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qfae_monai.experiments import rows
from qfae_monai.experiments.rows import DATASETS, find_row, load_rows

FIGURES = {
    "qfae-brats2021": "94.3 ± 0.18",
    "qfae-resc": "91.8 ± 0.55",
    "qfae-rsna": "83.8 ± 0.46",
    "qfae-liverct": "65.5 ± 1.96",
}
"""The paper's Table 5."""


def test_figures_are_the_papers() -> None:
    assert {row.name: str(row.published) for row in load_rows(table="5")} == FIGURES


def test_tables_are_in_order_and_filters_choose() -> None:
    found = load_rows()
    numbers = [int(row.tables[0]) for row in found if row.tables]
    assert numbers == sorted(numbers)
    assert [bool(row.tables) for row in found] == sorted((bool(row.tables) for row in found), reverse=True)
    assert len(load_rows(table="4")) == 9
    assert {row.dataset for row in load_rows(table="12")} == set(DATASETS)
    assert all(row.dataset == "rsna" for row in load_rows(dataset="rsna"))


def test_overlays_are_applied_in_order() -> None:
    assert find_row("qfae-rsna").overlays() == ["train", "datasets/bmad", "experiments/qfae-rsna"]
    assert find_row("qfae-rsna").overlays("datasets/npy")[1] == "datasets/npy"


@pytest.mark.parametrize(
    "content",
    [{}, {"_row_": {"row": "x"}}, {"_row_": {"table": [], "row": "x", "dataset": "rsna", "published": {"auroc": 1}}}],
)
def test_overlay_without_description_is_refused(
    tmp_path: Path, content: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.yaml").write_text(json.dumps(content))
    monkeypatch.setattr(rows, "FOLDER", tmp_path)
    with pytest.raises(ValueError, match=r"broken\.yaml: expected '_row_'"):
        load_rows()


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="got 'table5-brain'"):
        find_row("table5-brain")
    with pytest.raises(ValueError, match="got 'brain'"):
        load_rows(dataset="brain")
