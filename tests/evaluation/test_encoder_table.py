"""The table of frozen networks: figures as `compare` gives them, the best in house against its rivals, the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qfae_monai.evaluation.candidates import Candidate
from qfae_monai.evaluation.comparison import compare
from qfae_monai.evaluation.encoder_page import format_encoders, write_encoders
from qfae_monai.evaluation.encoder_table import Evaluated, encoder_table
from qfae_monai.evaluation.evaluation_report import summarise
from qfae_monai.evaluation.run_folder import RunFolder
from tests.evaluation.run_folder_factory import make_run_folder


def evaluated(
    folder: Path, name: str, *, signals: tuple[float, ...] = (1.2,), cases: int = 14, **arguments: Any
) -> Evaluated:
    """A combination of so many seeds; a higher signal is a better model."""
    encoder, perceptual, *robust = name.split("+")
    runs = [
        make_run_folder(folder / name / str(seed), cases=cases, model=seed, signal=signal, **arguments)
        for seed, signal in enumerate(signals)
    ]
    for run in runs:
        summarise(run)
    return Evaluated(name, encoder, perceptual, robust[0] if robust else None, "random" not in name, runs, runs)


def test_leads_are_those_of_the_paired_comparison(tmp_path: Path) -> None:
    found = [evaluated(tmp_path, "random+random"), evaluated(tmp_path, "dino+mae", signals=(3.0,))]
    table = encoder_table(found)
    wanted = compare(found[0].pooled[0], found[1].pooled[0])["metrics"]
    leads = {(lead["against"], lead["measure"]): lead for lead in table["leads"]}
    for measure, level, name in (("slice_auroc", "slice", "auroc"), ("pixel_ap", "pixel", "average_precision")):
        lead = leads["seeded random networks (random+random)", measure]
        assert lead["best"] == "dino+mae"
        assert lead["difference"] == wanted[level][name]["difference"]
    assert table["rows"][1]["volume_auroc"]["value"] == wanted["volume"]["auroc"]["b"]
    assert {against for against, _ in leads} == {
        "seeded random networks (random+random)",
        "nearest neighbours, dino encoder",
        "nearest neighbours, random encoder",
    }


def test_nearest_neighbours_are_judged_by_their_own_scores_and_map(tmp_path: Path) -> None:
    found = evaluated(tmp_path, "random+random")
    evaluation = json.loads((found.pooled[0] / "evaluation.json").read_text())
    neighbours = encoder_table([found])["rows"][0]["neighbours"]
    assert neighbours["pixel_ap"]["value"] == evaluation["maps"]["neighbours"]["average_precision"]
    areas = {one["level"]: one["auroc"] for one in evaluation["shortcuts"] if one["feature"] == "rival_neighbours"}
    assert neighbours["slice_auroc"]["value"] == areas["slice"]


def test_several_seeds_are_their_mean(tmp_path: Path) -> None:
    found = evaluated(tmp_path, "dino+mae", signals=(0.5, 3.0))
    each = [Candidate.model([RunFolder(run)]).figures["slice_auroc"].value for run in found.pooled]
    (row,) = encoder_table([found])["rows"]
    assert row["slice_auroc"]["value"] == pytest.approx(sum(each) / 2)
    assert row["seeds"] == 2
    assert row["slice_auroc"]["low"] <= row["slice_auroc"]["value"] <= row["slice_auroc"]["high"]


def test_what_is_undefined_or_better_is_said(tmp_path: Path) -> None:
    found = [evaluated(tmp_path, "dino+mae", abnormal=14, signals=(0.0,))]
    table = encoder_table(found)
    assert table["rows"][0]["volume_auroc"]["value"] is None
    assert any("Volume AUROC is undefined" in note for note in table["notes"])
    assert any("plain map has a higher pixel AP" in note for note in table["notes"])  # the lesions are bright
    text = format_encoders(table)
    assert "| dino+mae |" in text
    assert "volume AUROC |" not in text


def test_other_cases_are_refused(tmp_path: Path) -> None:
    found = [evaluated(tmp_path, "random+random"), evaluated(tmp_path, "dino+mae", first=4)]
    with pytest.raises(ValueError, match="figures of the same slices or cases"):
        encoder_table(found)


@pytest.mark.parametrize("kind", ["volume", "image"])
def test_page_and_text_show_every_combination(kind: str, tmp_path: Path) -> None:
    found = [evaluated(tmp_path, name, kind=kind) for name in ("random+random", "dino+mae", "dino+mae+all")]
    table = encoder_table(found)
    page, text = write_encoders(tmp_path / "out" / "encoders.html", table).read_text(), format_encoders(table)
    for row in table["rows"]:
        assert f'<td class="number value">{row["slice_auroc"]["value"]:.3f}</td>' in page
        assert f"| {row['name']} | {row['slice_auroc']['value']:.3f} (" in text
    assert ("image AUROC" if kind == "image" else "slice AUROC") in text
    assert all("Patients in the smaller class: " in shown for shown in (page, text))
    assert "http" not in page.replace("http-equiv", "")
    assert 'href="../dino+mae/0/report.html"' in page
