"""The rows describe themselves; what does not is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qfae_monai.experiments.rows import DATASETS, find_row, load_rows
from tests.experiments.conftest import BUNDLE

FIGURES = {"qfae-brats2021": "94.3 ± 0.18", "qfae-resc": "91.8 ± 0.55", "qfae-rsna": "83.8 ± 0.46",
           "qfae-liverct": "65.5 ± 1.96"}  # fmt: skip
"""The paper's Table 5."""


def test_figures_are_the_papers() -> None:
    rows = {row.name: row for row in load_rows(BUNDLE, table="5")}
    assert {name: str(row.published) for name, row in rows.items()} == FIGURES


def test_tables_are_in_order_and_filters_choose() -> None:
    rows = load_rows(BUNDLE)
    numbers = [int(row.tables[0]) for row in rows if row.tables]
    assert numbers == sorted(numbers)
    assert [bool(row.tables) for row in rows] == sorted((bool(row.tables) for row in rows), reverse=True)
    assert len(load_rows(BUNDLE, table="4")) == 9
    assert {row.dataset for row in load_rows(BUNDLE, table="12")} == set(DATASETS)
    assert all(row.dataset == "rsna" for row in load_rows(BUNDLE, dataset="rsna"))


def test_overlays_are_applied_in_order() -> None:
    assert find_row(BUNDLE, "qfae-rsna").overlays("tiny") == [
        "train", "presets/tiny", "datasets/bmad", "experiments/qfae-rsna",
    ]  # fmt: skip


@pytest.mark.parametrize("content", [{}, {"_row_": {"row": "x"}}, {"_row_": {"table": [], "row": "x", "dataset": "rsna",
                                                                          "published": {"auroc": 1}}}])  # fmt: skip
def test_overlay_without_description_is_refused(tmp_path: Path, content: dict[str, object]) -> None:
    path = tmp_path / "configs" / "experiments" / "broken.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"broken\.json: expected '_row_'"):
        load_rows(tmp_path)


def test_unknown_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="got 'table5-brain'"):
        find_row(BUNDLE, "table5-brain")
    with pytest.raises(ValueError, match="got 'brain'"):
        load_rows(BUNDLE, dataset="brain")
    with pytest.raises(FileNotFoundError, match="--bundle"):
        load_rows(tmp_path)
