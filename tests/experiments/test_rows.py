"""The rows describe themselves, with the paper's figures; what does not is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qfae_monai.experiments import rows
from qfae_monai.experiments.rows import DATASETS, find_row, load_rows

FIGURES = {
    "1": {
        "table-1-autoencoder": "66.6",
        "table-1-qformer-mae": "79.5",
        "table-1-qformer-perceptual": "86.8",
    },
    "2a": {"table-2a-mae": "79.0", "table-2a-mae-perceptual": "79.2", "table-2a-perceptual": "88.5"},
    "2b": {"table-2a-perceptual": "88.5", "table-2b-max": "92.6"},
    "2c": {"table-2b-max": "92.6", "table-2c-three-blocks": "93.0"},
    "2d": {"table-2c-three-blocks": "93.0", "table-2d-patch-16": "92.5", "table-2d-patch-32": "91.1"},
    "3": {
        "table-3-patch-16": "72.7",
        "table-3-patch-56": "92.8",
        "table-2c-three-blocks": "93.0",
        "table-3-patches-32-56": "94.4",
    },
    "4": {
        "encoder-dino-base": "94.3",
        "encoder-clip-large": "94.0",
        "encoder-mae-large": "71.5",
        "table-3-patches-32-56": "94.4",
        "encoder-dinov2-large-dino-base": "94.5",
        "encoder-dinov2-large-clip-large": "93.6",
        "encoder-dinov2-large-clip-base": "94.3",
        "encoder-dinov2-large-mae-base": "76.7",
        "encoder-dinov2-large-mae-large": "74.3",
    },
    "5": {
        "qfae-brats2021": "94.3 ± 0.18",
        "qfae-liverct": "65.5 ± 1.96",
        "qfae-resc": "91.8 ± 0.55",
        "qfae-rsna": "83.8 ± 0.46",
    },
    "8": {"table-8-main": "54.1", "table-8-canvas": "59.5 ± 1.27", "qfae-liverct": "65.5 ± 1.96"},
    "9": {"qfae-liverct": "65.5 ± 1.96"},
    "10": {"qfae-rsna": "83.8 ± 0.46"},
    "11": {"encoder-dinov2-large-dino-base": "94.5"},
}
"""Image AUROC in percent, as the paper's tables state it; Table 12 repeats Table 5 for other measures."""


@pytest.mark.parametrize("table", FIGURES)
def test_figures_are_the_papers(table: str) -> None:
    found = load_rows(table=table)
    assert {row.name: str(row.published) for row in found} == FIGURES[table]
    assert {row.group for row in found} == {"paper"}


def test_every_table_is_checked() -> None:
    assert {table for row in load_rows() for table in row.tables} == {*FIGURES, "12"}
    assert load_rows(table="12") == load_rows(table="5")
    assert all(row.published for row in load_rows(group="paper"))


def test_tables_are_in_order_and_filters_choose() -> None:
    firsts = [row.tables[0] for row in load_rows(group="paper")]
    assert list(dict.fromkeys(firsts)) == ["1", "2a", "2b", "2c", "2d", "3", "4", "5", "8"]
    assert [row.name for row in load_rows(table="8")] == ["table-8-main", "table-8-canvas", "qfae-liverct"]
    assert {table for row in load_rows(table="2") for table in row.tables} == {"2a", "2b", "2c", "2d", "3"}
    assert {row.dataset for row in load_rows(table="12")} == set(DATASETS)
    assert all(row.dataset == "rsna" for row in load_rows(dataset="rsna"))


def test_rows_of_our_own_are_apart() -> None:
    groups = [row.group for row in load_rows()]
    assert list(dict.fromkeys(groups)) == ["paper", "ablation", "robust"]
    for group in ("ablation", "robust"):
        assert all(row.published is None and row.name.startswith(group) for row in load_rows(group=group))


def test_liver_slices_of_each_step_are_named() -> None:
    assert {row.name: row.data for row in load_rows(table="8")} == {
        "qfae-liverct": "liverct",
        "table-8-canvas": "liverct",
        "table-8-main": "liverct-plain",
    }


def test_open_settings_come_with_the_other_reading() -> None:
    for row in load_rows():
        assert bool(row.reading) == bool(row.others), row.name
    assert all(row.reading for row in load_rows(table="2"))


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
    with pytest.raises(ValueError, match=r"--dataset: expected one of brats2021, .*, got 'brain'"):
        load_rows(dataset="brain")
    with pytest.raises(ValueError, match="--group: expected one of paper, ablation, robust, got 'mine'"):
        load_rows(group="mine")


@pytest.mark.parametrize("table", ["6", "2e", "", "a", "20"])
def test_table_that_does_not_exist_is_refused_with_those_that_do(table: str) -> None:
    with pytest.raises(ValueError, match=f"--table: expected one of 1, 2a, 2b, 2c, 2d, 3, .*11, 12, got '{table}'"):
        load_rows(table=table)
